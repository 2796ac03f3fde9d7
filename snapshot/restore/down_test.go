package restore

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestIsDown(t *testing.T) {
	type change = func(*v1alpha1.VolumeRestore)
	set := func(kind string, status metav1.ConditionStatus, reason string) change {
		return func(v *v1alpha1.VolumeRestore) {
			v.Status.Conditions = append(v.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason})
		}
	}
	unready := set(v1alpha1.ConditionApplicationReady, metav1.ConditionFalse, v1alpha1.ReasonScalingDown)
	failedBack := set(v1alpha1.ConditionFailed, metav1.ConditionTrue, v1alpha1.ReasonRollBackFailed)
	back := func(v *v1alpha1.VolumeRestore) { v.Status.RollBack = &v1alpha1.RollBackStatus{EndedAt: stamp} }
	for name, c := range map[string]struct {
		changes           []change
		down, leftStopped bool
	}{
		"before the stop":    {nil, false, false},
		"stopped":            {[]change{unready}, true, false},
		"it had no replicas": {[]change{unready, func(v *v1alpha1.VolumeRestore) { v.Status.Replicas = ptr.To[int32](0) }}, false, false},
		"ready again":        {[]change{set(v1alpha1.ConditionApplicationReady, metav1.ConditionTrue, "x")}, false, false},
		"going back":         {[]change{unready, func(v *v1alpha1.VolumeRestore) { v.Status.RollBack = &v1alpha1.RollBackStatus{} }}, true, false},
		"going back takes long, and is told": {[]change{unready, failedBack, func(v *v1alpha1.VolumeRestore) {
			v.Status.RollBack = &v1alpha1.RollBackStatus{}
		}}, true, false},
		"left as it is":                   {[]change{unready, set(v1alpha1.ConditionFailed, metav1.ConditionTrue, v1alpha1.ReasonReadyTimeout)}, false, false},
		"going back failed":               {[]change{unready, failedBack, back}, true, true},
		"called off, and started":         {[]change{unready, failedBack, back, func(v *v1alpha1.VolumeRestore) { v.Status.RollBack.ScaledUpAt = stamp }}, false, false},
		"undone, and not ready as before": {[]change{unready, back, set(v1alpha1.ConditionFailed, metav1.ConditionTrue, "x")}, false, false},
		"put back with its status": {[]change{unready, func(v *v1alpha1.VolumeRestore) {
			v.Labels, v.CreationTimestamp = map[string]string{v1alpha1.LabelVelero: "monday"}, metav1.NewTime(now)
		}}, false, false},
	} {
		v := &v1alpha1.VolumeRestore{}
		v.Status.Replicas = ptr.To[int32](1)
		for _, change := range c.changes {
			change(v)
		}
		if IsDown(v) != c.down || IsLeftStopped(v) != c.leftStopped {
			t.Errorf("%s: down %t, left so %t", name, IsDown(v), IsLeftStopped(v))
		}
	}
}
