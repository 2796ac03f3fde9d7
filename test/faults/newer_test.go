package main

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestRunsOnRestored(t *testing.T) {
	// restored is one that started the application at a second, and again on its way
	// back at another, 0 for never.
	restored := func(at, back int) *v1alpha1.VolumeRestore {
		moment := func(s int) *metav1.MicroTime {
			if s == 0 {
				return nil
			}
			return &metav1.MicroTime{Time: time.Unix(int64(s), 0)}
		}
		v := &v1alpha1.VolumeRestore{}
		v.Status.ScaledUpAt = moment(at)
		if back != 0 {
			v.Status.RollBack = &v1alpha1.RollBackStatus{ScaledUpAt: moment(back)}
		}
		return v
	}
	for name, c := range map[string]struct {
		all  []*v1alpha1.VolumeRestore
		want bool
	}{
		"none":                   {nil, false},
		"one that began nothing": {[]*v1alpha1.VolumeRestore{restored(0, 0)}, false},
		"one":                    {[]*v1alpha1.VolumeRestore{restored(1, 0)}, true},
		"one that went back before it stopped anything": {[]*v1alpha1.VolumeRestore{restored(1, 0), restored(0, 2)}, true},
		"one that went back":                            {[]*v1alpha1.VolumeRestore{restored(1, 2)}, false},
		"the second of two went back":                   {[]*v1alpha1.VolumeRestore{restored(2, 3), restored(1, 0)}, true},
		"the first of two went back":                    {[]*v1alpha1.VolumeRestore{restored(2, 0), restored(1, 3)}, false},
		"one more, after the first was back":            {[]*v1alpha1.VolumeRestore{restored(1, 2), restored(3, 0)}, true},
	} {
		if got := runsOnRestored(c.all); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
