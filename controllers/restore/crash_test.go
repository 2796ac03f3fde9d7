package restore

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func aRestore(change func(*v1alpha1.VolumeRestore)) *v1alpha1.VolumeRestore {
	v := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "r", UID: "uid-restore"}}
	v.Spec = v1alpha1.VolumeRestoreSpec{
		Source:         v1alpha1.RestoreSource{VolumeBackupRef: &v1alpha1.LocalReference{Name: "b"}},
		PreviousClaims: v1alpha1.PreviousKeep,
		OnFailure:      v1alpha1.RestoreRollBack,
		ReadyTimeout:   &metav1.Duration{Duration: 20 * time.Second},
	}
	if change != nil {
		change(v)
	}
	return v
}

// TestManagerMayDieAnywhere lets the manager die at each of its writes, and its
// successor go on.
func TestManagerMayDieAnywhere(t *testing.T) {
	byReplace := func(v *v1alpha1.VolumeRestore) { v.Spec.Target.Strategy = v1alpha1.StrategyReplace }
	for name, c := range map[string]struct {
		kind   v1alpha1.ApplicationKind
		change func(*v1alpha1.VolumeRestore)
		broken bool
		undo   bool
		phase  v1alpha1.RestorePhase
	}{
		"a Deployment is replaced":           {kind: v1alpha1.KindDeployment, change: byReplace, phase: v1alpha1.RestoreCompleted},
		"repointed, not ready":               {kind: v1alpha1.KindDeployment, broken: true, phase: v1alpha1.RestoreRolledBack},
		"replaced, not ready":                {kind: v1alpha1.KindStatefulSet, broken: true, phase: v1alpha1.RestoreRolledBack},
		"repointed, then undone":             {kind: v1alpha1.KindDeployment, undo: true, phase: v1alpha1.RestoreRolledBack},
		"replaced, then undone":              {kind: v1alpha1.KindStatefulSet, undo: true, phase: v1alpha1.RestoreRolledBack},
		"repointed, previous claims deleted": {kind: v1alpha1.KindDeployment, phase: v1alpha1.RestoreCompleted, change: func(v *v1alpha1.VolumeRestore) { v.Spec.PreviousClaims = v1alpha1.PreviousDelete }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for die, writes := 0, 1; die <= writes && !t.Failed(); die++ {
				w := newCluster(t, c.kind)
				w.dieAt, w.broken = die, c.broken
				w.must(w.Create(context.Background(), aRestore(c.change)))
				v := w.run()
				if c.undo {
					w.check(t, v, v1alpha1.RestoreCompleted)
					v.Spec.RollBack = true
					v.Generation++
					w.must(w.Update(context.Background(), v))
					v = w.run()
				}
				w.check(t, v, c.phase)
				writes = w.writes
			}
		})
	}
}

// check holds what has to be true however a restore went.
func (w *fakeCluster) check(t *testing.T, v *v1alpha1.VolumeRestore, phase v1alpha1.RestorePhase) {
	t.Helper()
	c := v.Status.Claims[0]
	if v.Status.Phase != phase || *v.Status.Replicas != 1 {
		t.Errorf("dying at write %d: %s, %d replicas: %s", w.dieAt, v.Status.Phase, *v.Status.Replicas, v.Status.Message)
	}
	if !isAtRest(context.Background(), v) {
		t.Errorf("dying at write %d: there is more to do: %+v", w.dieAt, v.Status)
	}
	want, kept := c.RestoredVolume, "pv-old"
	if phase == v1alpha1.RestoreRolledBack {
		want, kept = kept, want
	}
	if got := w.mounted(); got != want {
		t.Errorf("dying at write %d: the application runs on %q, not %q", w.dieAt, got, want)
	}
	if used := w.volume(want); used == nil || used.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete || len(used.Labels) > 0 {
		t.Errorf("dying at write %d: its volume isn't as any other: %+v", w.dieAt, used)
	}
	other := w.volume(kept)
	if v.Spec.PreviousClaims == v1alpha1.PreviousDelete {
		if other != nil {
			t.Errorf("dying at write %d: the previous volume is left: %+v", w.dieAt, other)
		}
	} else if other == nil || other.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain || other.Labels[v1alpha1.LabelPrevious] == "" {
		t.Errorf("dying at write %d: what it doesn't run on isn't kept: %+v", w.dieAt, other)
	}
}
