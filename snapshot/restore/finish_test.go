package restore

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// A class may keep its volumes. One that was made for a restore goes all the same,
// where the application has never run on it.
func TestWhatBecomesOfANewVolumeThatWasNeverUsed(t *testing.T) {
	const keeps, goes = corev1.PersistentVolumeReclaimRetain, corev1.PersistentVolumeReclaimDelete
	for name, c := range map[string]struct {
		change func(*State, *corev1.PersistentVolume)
		want   corev1.PersistentVolumeReclaimPolicy
	}{
		"of its temporary claim": {func(*State, *corev1.PersistentVolume) {}, goes},
		"before it was seen to mount": {func(s *State, _ *corev1.PersistentVolume) {
			s.Restore.Status.Claims[0].RestoredVolume, s.Restore.Status.Claims[0].RestoredPolicy = "", ""
		}, goes},
		"reserved for the application's claim": {func(_ *State, v *corev1.PersistentVolume) {
			v.Spec.ClaimRef, v.Labels = &corev1.ObjectReference{Name: "data"}, map[string]string{v1alpha1.LabelRestoreUID: "r-uid"}
		}, goes},
		"it was there before the restore": {func(_ *State, v *corev1.PersistentVolume) { v.CreationTimestamp = metav1.NewTime(now.Add(-time.Hour)) }, keeps},
		"somebody else's by now": {func(_ *State, v *corev1.PersistentVolume) {
			v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "other", Name: "x"}
		}, keeps},
		"not known, and bound by nobody": {func(s *State, v *corev1.PersistentVolume) {
			s.Restore.Status.Claims[0].RestoredVolume, v.Spec.ClaimRef = "", nil
		}, keeps},
	} {
		s := aReplacement(func(_ *v1alpha1.VolumeRestoreStatus, o *Observed) {
			o.Claims["t"].Labels[v1alpha1.LabelRestoreUID] = "r-uid"
		})
		goingBack(s, false)
		v := s.Volumes["pv-new"]
		s.Restore.CreationTimestamp = metav1.NewTime(now)
		s.Restore.Status.Claims[0].RestoredPolicy, v.Spec.PersistentVolumeReclaimPolicy, v.CreationTimestamp = keeps, keeps, metav1.NewTime(now)
		c.change(s, v)
		got := v.Spec.PersistentVolumeReclaimPolicy
		for _, change := range s.removedRestored(&s.Restore.Status.Claims[0]) {
			if after, isVolume := change.After.(*corev1.PersistentVolume); isVolume {
				got = after.Spec.PersistentVolumeReclaimPolicy
			}
		}
		if got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
