package integration

import (
	"fmt"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// aCompleteBackup counts in policy nightly, as that of some nights ago. Every
// second one is kept by a finalizer for as long as the test goes on, as a driver
// may keep one.
func (fc *fakeCluster) aCompleteBackup(nights int) {
	fc.Helper()
	b := &v1alpha1.VolumeBackup{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("nightly-%d", nights), Labels: map[string]string{v1alpha1.LabelPolicy: "nightly"},
			Annotations: map[string]string{v1alpha1.AnnotationScheduledAt: time.Now().AddDate(0, 0, -nights).Format(time.RFC3339)},
		},
		Spec: v1alpha1.VolumeBackupSpec{ApplicationRef: v1alpha1.ApplicationReference{Name: "db"}},
	}
	if nights%2 == 0 {
		b.Finalizers = []string{"lull.test/slow-driver"}
	}
	fc.create(b)
	b.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonCompleted, LastTransitionTime: metav1.Now(),
	}}
	fc.writesStatus(b)
}

// left are the backups that nobody has deleted.
func (fc *fakeCluster) left() (count int) {
	fc.Helper()
	var all v1alpha1.VolumeBackupList
	fc.must(admin.List(fc.ctx, &all, client.InNamespace(fc.namespace)))
	for i := range all.Items {
		if all.Items[i].DeletionTimestamp.IsZero() {
			count++
		}
	}
	return count
}

func (fc *fakeCluster) events(reason string) (notes []string) {
	fc.Helper()
	var all eventsv1.EventList
	fc.must(admin.List(fc.ctx, &all, client.InNamespace(fc.namespace)))
	for i := range all.Items {
		if all.Items[i].Reason == reason {
			notes = append(notes, all.Items[i].Note)
		}
	}
	return notes
}

// The deletions of a person and those of retention come by the same watch.
func TestAMassDeletionIsOfWhatOthersDelete(t *testing.T) {
	fc := aFakeCluster(t)
	for night := range 45 {
		fc.aCompleteBackup(night)
	}
	nightly := &v1alpha1.SnapshotPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "nightly", Annotations: map[string]string{v1alpha1.AnnotationReleaseRetention: "1"}},
		Spec: v1alpha1.SnapshotPolicySpec{
			Schedule: "@yearly", Retention: v1alpha1.PolicyRetention{Snapshots: &v1alpha1.RetentionRules{KeepLast: 20}},
		},
	}
	fc.create(nightly)
	fc.aPolicyManager()
	fc.eventually("retention has removed twenty-five", func() bool { return fc.left() == 20 })

	fc.must(admin.DeleteAllOf(fc.ctx, &v1alpha1.VolumeBackup{}, client.InNamespace(fc.namespace)))
	fc.eventually("retention is held", func() bool {
		fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(nightly), nightly))
		stalled := meta.FindStatusCondition(nightly.Status.Conditions, v1alpha1.ConditionStalled)
		return stalled != nil && stalled.Reason == v1alpha1.ReasonRetentionHeld
	})
	fc.eventually("it is told", func() bool { return len(fc.events(v1alpha1.ReasonMassDeletion)) > 0 })
	if told := fc.events(v1alpha1.ReasonMassDeletion); len(told) != 1 || nightly.Status.MassDeletion.Count != 20 {
		t.Errorf("others have deleted twenty, and the policy counts %d and tells %q", nightly.Status.MassDeletion.Count, told)
	}
}
