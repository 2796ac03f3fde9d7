package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func condition(b *v1alpha1.VolumeBackup, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(b.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}

func describe(b *v1alpha1.VolumeBackup) string {
	text, err := json.MarshalIndent(map[string]any{"spec": b.Spec, "status": b.Status}, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// checkInvariants holds a backup at its end to all that must be true of one,
// however it got there.
func (fc *fakeCluster) checkInvariants(b *v1alpha1.VolumeBackup) {
	fc.Helper()
	for _, broken := range slices.Concat(brokenConditions(b), brokenSummary(b), fc.brokenVerdict(b)) {
		fc.Errorf("%s: %s\n%s", b.Name, broken, describe(b))
	}
	fc.nothingIsFrozen()
	fc.noOrphans(b)
}

func brokenConditions(b *v1alpha1.VolumeBackup) (broken []string) {
	not := func(bad bool, format string, args ...any) {
		if bad {
			broken = append(broken, fmt.Sprintf(format, args...))
		}
	}
	complete, failed := isTrue(b, v1alpha1.ConditionComplete), isTrue(b, v1alpha1.ConditionFailed)
	q := b.Status.Quiesce
	not(complete == failed, "it is one of Complete and Failed at its end")
	not(failed != isTrue(b, v1alpha1.ConditionStalled), "Stalled goes with Failed")
	not(isTrue(b, v1alpha1.ConditionReconciling), "it is at its end and still Reconciling")
	not(failed && condition(b, v1alpha1.ConditionFailed).Message == "", "Failed without a message")
	not(complete && q == nil, "complete without an attempt")
	not(complete && !isTrue(b, v1alpha1.ConditionSnapshotsCut), "complete and not SnapshotsCut")
	not(complete && !isTrue(b, v1alpha1.ConditionSnapshotsReady), "complete and not SnapshotsReady")
	not(complete && isTrue(b, v1alpha1.ConditionThawed) == (b.Status.Unthawed != nil), "complete and not Thawed, or Thawed with pods that could not be")
	not(complete && q != nil && q.Failure != "", "complete, with an attempt that failed")
	not(complete && b.Status.Consistency == "", "complete without a verdict")
	quieted := q != nil && (q.Method == v1alpha1.MethodHold || q.Method == v1alpha1.MethodHooks)
	not(quieted && q.ThawedAt == nil && condition(b, v1alpha1.ConditionFailed).Reason != v1alpha1.ReasonThawFailed, "an attempt at its end isn't thawed")
	not(quieted && q.ThawedAt != nil && !isTrue(b, v1alpha1.ConditionThawed), "thawed, and not Thawed")
	not(complete && quieted && q.ThawedAt.After(q.Deadline.Time), "complete, though thawed after the deadline")
	for _, c := range b.Status.Conditions {
		not(c.ObservedGeneration != b.Generation, "condition %s speaks of generation %d", c.Type, c.ObservedGeneration)
		not(c.Status == metav1.ConditionUnknown, "condition %s is Unknown", c.Type)
	}
	return broken
}

// brokenSummary derives anew what is for people.
func brokenSummary(b *v1alpha1.VolumeBackup) (broken []string) {
	phase, says := v1alpha1.PhaseCompleted, condition(b, v1alpha1.ConditionComplete)
	if isTrue(b, v1alpha1.ConditionFailed) {
		phase, says = v1alpha1.PhaseFailed, condition(b, v1alpha1.ConditionFailed)
	}
	if !b.DeletionTimestamp.IsZero() {
		phase = v1alpha1.PhaseDeleting
	} else if b.Status.Message != says.Message {
		broken = append(broken, "the message isn't that of the condition")
	}
	if b.Status.Phase != phase {
		broken = append(broken, fmt.Sprintf("the phase is %s and should be %s", b.Status.Phase, phase))
	}
	ready := 0
	for _, v := range b.Status.Volumes {
		if v.ReadyToUse {
			ready++
		}
	}
	if count := fmt.Sprintf("%d/%d", ready, len(b.Status.Volumes)); len(b.Status.Volumes) > 0 && b.Status.Snapshots != count {
		broken = append(broken, fmt.Sprintf("%s snapshots should be %s", b.Status.Snapshots, count))
	}
	if phase == v1alpha1.PhaseCompleted && (ready == 0 || ready < len(b.Status.Volumes)) {
		broken = append(broken, "complete with volumes that aren't ready")
	}
	if b.Status.ObservedGeneration != b.Generation || b.Status.StartTime == nil || b.Status.CompletionTime == nil {
		broken = append(broken, "generation or times are missing")
	}
	return broken
}

// brokenVerdict compares what the backup claims with what the storage saw: in
// each pod one and the same freeze has to stand at the cut of each snapshot.
func (fc *fakeCluster) brokenVerdict(b *v1alpha1.VolumeBackup) (broken []string) {
	q := b.Status.Quiesce
	if q == nil || (b.Status.Consistency != v1alpha1.Proven && b.Status.Consistency != v1alpha1.Declared) {
		return nil
	}
	if q.Method == v1alpha1.MethodIdle || q.Method == v1alpha1.MethodNone {
		if len(q.Pods) > 0 {
			broken = append(broken, "nothing was quieted, and yet it names pods")
		}
		return broken
	}
	for _, pod := range q.Pods {
		var common []string
		for i, v := range b.Status.Volumes {
			marks, cut := fc.storage.frozenAtCut(v.SnapshotName)
			if !cut {
				broken = append(broken, fmt.Sprintf("FALSE %s: %s was never cut", b.Status.Consistency, v.ClaimName))
			}
			marks = slices.DeleteFunc(slices.Clone(marks), func(m string) bool { return !strings.HasPrefix(m, pod.Name+".") })
			if i == 0 {
				common = marks
			}
			common = slices.DeleteFunc(slices.Clone(common), func(m string) bool { return !slices.Contains(marks, m) })
		}
		if len(common) == 0 {
			broken = append(broken, fmt.Sprintf("FALSE %s: no one freeze of pod %s stood at the cut of every volume", b.Status.Consistency, pod.Name))
		}
	}
	return broken
}

// nothingIsFrozen waits for hooks that are told to end.
func (fc *fakeCluster) nothingIsFrozen() {
	fc.Helper()
	fc.eventually("no hook holds", func() bool { return len(fc.frozen()) == 0 })
}

// noOrphans waits until only the snapshots that the backup names are left.
func (fc *fakeCluster) noOrphans(b *v1alpha1.VolumeBackup) {
	fc.Helper()
	fc.eventually("only the backup's own snapshots are left", func() bool {
		for _, snap := range fc.snapshots() {
			ours := slices.ContainsFunc(b.Status.Volumes, func(v v1alpha1.VolumeStatus) bool { return v.SnapshotName == snap.Name })
			if snap.Labels[v1alpha1.LabelBackupUID] == string(b.UID) && !ours {
				return false
			}
		}
		return true
	})
	if !isTrue(b, v1alpha1.ConditionComplete) {
		return
	}
	for _, v := range b.Status.Volumes {
		if !slices.ContainsFunc(fc.snapshots(), func(s snapshotv1.VolumeSnapshot) bool {
			return s.Name == v.SnapshotName && s.DeletionTimestamp.IsZero()
		}) {
			fc.Errorf("complete, and the snapshot of %s is not there", v.ClaimName)
		}
	}
}
