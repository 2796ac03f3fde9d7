package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

var atTwo = time.Date(2025, 11, 26, 2, 0, 0, 0, time.UTC)

// aPolicyRun has seen backups, each of so many seconds after two.
func aPolicyRun(s policyScenario, seen ...*v1alpha1.VolumeBackup) *policyRun {
	r := newPolicyRun(&round{testbed: &testbed{}}, &s)
	for i, b := range seen {
		if b.UID == "" {
			b.UID = types.UID(fmt.Sprint(i))
		}
		b.CreationTimestamp = metav1.NewTime(atTwo.Add(time.Duration(i) * time.Second))
		r.see(b)
	}
	return r
}

func backupOf(name string, condition string) *v1alpha1.VolumeBackup {
	return &v1alpha1.VolumeBackup{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status:     v1alpha1.VolumeBackupStatus{Conditions: []metav1.Condition{{Type: condition, Status: metav1.ConditionTrue}}},
	}
}

func dueAt(b *v1alpha1.VolumeBackup, at time.Time) *v1alpha1.VolumeBackup {
	b.Annotations = map[string]string{v1alpha1.AnnotationScheduledAt: at.Format(time.RFC3339)}
	return b
}

func TestABackupThatAPolicyMakesTwiceIsSeen(t *testing.T) {
	again := dueAt(backupOf("two", v1alpha1.ConditionComplete), atTwo)
	again.UID = "another"
	for what, c := range map[string]struct {
		seen  []*v1alpha1.VolumeBackup
		asked int
		wants bool
	}{
		"once":                 {seen: []*v1alpha1.VolumeBackup{dueAt(backupOf("two", v1alpha1.ConditionComplete), atTwo)}},
		"again, after it went": {seen: []*v1alpha1.VolumeBackup{dueAt(backupOf("two", v1alpha1.ConditionComplete), atTwo), again}, wants: true},
		"not due":              {seen: []*v1alpha1.VolumeBackup{dueAt(backupOf("one", v1alpha1.ConditionComplete), atTwo.Add(-time.Hour))}, wants: true},
		"asked for":            {seen: []*v1alpha1.VolumeBackup{backupOf("asked", v1alpha1.ConditionComplete)}, asked: 1},
		"not asked for":        {seen: []*v1alpha1.VolumeBackup{backupOf("asked", v1alpha1.ConditionComplete)}, wants: true},
		"before the policy":    {seen: []*v1alpha1.VolumeBackup{backupOf("before", v1alpha1.ConditionComplete)}},
	} {
		r := aPolicyRun(policyScenario{}, c.seen...)
		r.due, r.asked, r.before = []time.Time{atTwo}, c.asked, map[string]bool{"before": true}
		r.checkMade()
		if got := len(r.broken) > 0; got != c.wants {
			t.Errorf("%s: %q", what, r.broken)
		}
	}
}

func TestWhatRetentionKeeps(t *testing.T) {
	complete, failed := v1alpha1.ConditionComplete, v1alpha1.ConditionFailed
	for what, c := range map[string]struct {
		scenario policyScenario
		wants    string
	}{
		"all":             {policyScenario{}, "a b c d"},
		"the newest":      {policyScenario{keepLast: 1}, "c d"},
		"the newest two":  {policyScenario{keepLast: 2}, "b c d"},
		"all, by a brake": {policyScenario{keepLast: 1, braked: true}, "a b c d"},
	} {
		r := aPolicyRun(c.scenario, backupOf("a", complete), backupOf("b", complete), backupOf("c", complete), backupOf("d", failed))
		var kept []string
		for b, isKept := range r.kept() {
			if isKept {
				kept = append(kept, b.Name)
			}
		}
		slices.Sort(kept)
		if got := strings.Join(kept, " "); got != c.wants {
			t.Errorf("%s: %s", what, got)
		}
	}
}

// Nobody can say that a copy is gone without knowing what it was called.
func TestACopyIsGoneOnlyWhereItWasSeen(t *testing.T) {
	b := backupOf("a", v1alpha1.ConditionComplete)
	b.Status.Volumes = []v1alpha1.VolumeStatus{{ContentName: "content"}}
	r := aPolicyRun(policyScenario{}, b)
	r.testbed.namespace = "shop"
	content := snapshotv1.VolumeSnapshotContent{ObjectMeta: metav1.ObjectMeta{Name: "content"}, Status: &snapshotv1.VolumeSnapshotContentStatus{SnapshotHandle: ptr.To("no-such-copy")}}
	content.Spec.VolumeSnapshotRef.Namespace = "another"
	if r.see(&content); len(r.leftOf(b, nil)) != 1 {
		t.Errorf("left is %v", r.leftOf(b, nil))
	}
	content.Spec.VolumeSnapshotRef.Namespace = "shop"
	if r.see(&content); len(r.leftOf(b, nil)) != 0 {
		t.Errorf("left is %v", r.leftOf(b, nil))
	}
	if left := r.leftOf(b, []snapshotv1.VolumeSnapshotContent{content}); len(left) != 1 {
		t.Errorf("left is %v", left)
	}
}
