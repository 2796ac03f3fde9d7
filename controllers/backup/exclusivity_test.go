package backup

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
)

// What may come is given its while from when it is first missed: its turn may
// have come late.
func TestWaitsUntil(t *testing.T) {
	missing := func(reason string, since time.Time) func(*v1alpha1.VolumeBackup) {
		return func(b *v1alpha1.VolumeBackup) {
			reconcile.SetCondition(b, since, v1alpha1.ConditionStalled, true, reason, "it isn't there")
		}
	}
	started := func(at time.Time) func(*v1alpha1.VolumeBackup) {
		return func(b *v1alpha1.VolumeBackup) { b.Status.StartTime = &metav1.Time{Time: at} }
	}
	hour := noon.Add(time.Hour)
	for name, c := range map[string]struct {
		change []func(*v1alpha1.VolumeBackup)
		want   time.Time
	}{
		"first missed now":       {want: hour.Add(time.Minute)},
		"missed for a while":     {change: []func(*v1alpha1.VolumeBackup){missing(v1alpha1.ReasonPodNotRunning, hour.Add(-time.Second))}, want: hour.Add(59 * time.Second)},
		"for another reason now": {change: []func(*v1alpha1.VolumeBackup){missing(v1alpha1.ReasonClaimNotBound, hour.Add(-time.Second)), missing(v1alpha1.ReasonPodNotRunning, hour)}, want: hour.Add(59 * time.Second)},
		"from its attempt on":    {change: []func(*v1alpha1.VolumeBackup){missing(v1alpha1.ReasonThawFailed, noon), started(hour.Add(-time.Second))}, want: hour.Add(59 * time.Second)},
	} {
		b := &v1alpha1.VolumeBackup{}
		started(noon)(b)
		for _, change := range c.change {
			change(b)
		}
		if got := waitsUntil(b, time.Minute, hour); !got.Equal(c.want) {
			t.Errorf("%s: until %s, want %s", name, got, c.want)
		}
	}
}

// A node that is lost never lets go, and whoever has lost it wants a copy.
func TestWhatDoesntComeInTimeIsADoubt(t *testing.T) {
	awaited := v1alpha1.PassingProblemf(v1alpha1.ReasonPodNotRunning, "it is still attached")
	for name, c := range map[string]struct {
		err  error
		now  time.Time
		want string
	}{
		"it may still come":         {err: awaited, now: noon.Add(-time.Second)},
		"it didn't":                 {err: awaited, now: noon, want: "it is still attached"},
		"what a person has to mend": {err: v1alpha1.Problemf(v1alpha1.ReasonNotCSI, "no"), now: noon},
		"it could not be seen":      {err: errors.New("no route to host"), now: noon},
		"nothing is awaited":        {now: noon},
	} {
		if got := overdue(c.err, noon, c.now); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
