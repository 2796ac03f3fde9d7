package backup

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
)

func TestNeedsThaw(t *testing.T) {
	open := func() *v1alpha1.QuiesceStatus { return &v1alpha1.QuiesceStatus{Method: v1alpha1.MethodHooks} }
	ended := func(b *v1alpha1.VolumeBackup) {
		reconcile.SetCondition(b, noon, v1alpha1.ConditionFailed, true, v1alpha1.ReasonThawFailed, "it may be frozen")
	}
	deleted := func(b *v1alpha1.VolumeBackup) { b.DeletionTimestamp = &metav1.Time{Time: noon} }
	unthawed := func(b *v1alpha1.VolumeBackup) {
		b.Status.Unthawed, b.Status.Quiesce = open(), &v1alpha1.QuiesceStatus{Method: v1alpha1.MethodNone, CutAt: microTime(noon)}
	}
	putBack := func(b *v1alpha1.VolumeBackup) {
		b.Labels = map[string]string{v1alpha1.LabelVelero: "cluster-1"}
		b.CreationTimestamp, b.Status.StartTime = metav1.NewTime(noon), &metav1.Time{Time: noon.Add(-time.Hour)}
	}
	for name, c := range map[string]struct {
		change []func(*v1alpha1.VolumeBackup)
		want   bool
	}{
		"an attempt without an end":                 {want: true},
		"one that is thawed":                        {change: []func(*v1alpha1.VolumeBackup){func(b *v1alpha1.VolumeBackup) { b.Status.Quiesce.ThawedAt = microTime(noon) }}},
		"no attempt":                                {change: []func(*v1alpha1.VolumeBackup){func(b *v1alpha1.VolumeBackup) { b.Status.Quiesce = nil }}},
		"given up":                                  {change: []func(*v1alpha1.VolumeBackup){ended}},
		"given up and deleted":                      {change: []func(*v1alpha1.VolumeBackup){ended, deleted}, want: true},
		"gone on without":                           {change: []func(*v1alpha1.VolumeBackup){unthawed}},
		"gone on without, and deleted":              {change: []func(*v1alpha1.VolumeBackup){unthawed, deleted}, want: true},
		"an attempt of an earlier life":             {change: []func(*v1alpha1.VolumeBackup){putBack}},
		"one of an earlier life, given up, deleted": {change: []func(*v1alpha1.VolumeBackup){putBack, ended, deleted}},
	} {
		b := &v1alpha1.VolumeBackup{Status: v1alpha1.VolumeBackupStatus{Quiesce: open()}}
		for _, change := range c.change {
			change(b)
		}
		if needsThaw(b) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}
