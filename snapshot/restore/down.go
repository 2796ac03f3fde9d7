package restore

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// IsDown is true for a restore by which an application is down, as its status says:
// it was told to stop, forward or back, and isn't ready again. One that had no
// replicas isn't down by it.
func IsDown(v *v1alpha1.VolumeRestore) bool {
	return isUnready(v) && (!Ended(v) || IsLeftStopped(v)) && v1alpha1.PutBackBy(v, v.Status.StartTime) == ""
}

// IsLeftStopped is true for a restore that has ended, by going back that failed,
// before it told its application to start again.
func IsLeftStopped(v *v1alpha1.VolumeRestore) bool {
	failed := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionFailed)
	hasFailedBack := failed != nil && failed.Status == metav1.ConditionTrue && failed.Reason == v1alpha1.ReasonRollBackFailed
	return hasFailedBack && Ended(v) && isUnready(v) && WayOf(v).IsBack && v.Status.RollBack.ScaledUpAt == nil
}

func isUnready(v *v1alpha1.VolumeRestore) bool {
	ready := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionApplicationReady)
	return ready != nil && ready.Status == metav1.ConditionFalse && ptr.Deref(v.Status.Replicas, 0) > 0
}
