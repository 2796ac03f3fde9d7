package restore

import (
	"cmp"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Way is the direction in which a restore goes: forward, to the restored
// volumes, or back, to the previous ones. Both take the same steps.
type Way struct {
	IsBack bool
	// ScaledDownAt and ScaledUpAt are where the status says when the application
	// was told to stop, and to start again, on this way.
	ScaledDownAt, ScaledUpAt **metav1.MicroTime
	// ReadyTimeout is how long the application may take to be ready.
	ReadyTimeout time.Duration
	// MayStayUnready is true where it isn't to be readier than it was before.
	MayStayUnready bool

	// since is when this way was taken.
	since *metav1.MicroTime
	// to is where a claim is to lead the application.
	to func(*v1alpha1.RestoredClaim) side
}

// side is one end of a way: a claim of the application, and its volume.
type side struct{ claim, volume string }

// backLimit is how long an application may take at least that is given back
// what it was ready on: nothing would be tried after that, so an owner's short
// readyTimeout, which is about the new data, would only raise a false alarm.
const backLimit = 2 * time.Minute

// WayOf is the way that a restore goes.
func WayOf(v *v1alpha1.VolumeRestore) Way {
	w := Way{ScaledDownAt: &v.Status.ScaledDownAt, ScaledUpAt: &v.Status.ScaledUpAt, ReadyTimeout: readyTimeout(v)}
	if rb := v.Status.RollBack; rb != nil {
		w.IsBack, w.ScaledDownAt, w.ScaledUpAt, w.since = true, &rb.ScaledDownAt, &rb.ScaledUpAt, &rb.StartedAt
		w.to = func(c *v1alpha1.RestoredClaim) side { return side{c.PreviousClaim, c.PreviousVolume} }
		if w.MayStayUnready = !v.Status.WasReady; v.Status.WasReady {
			w.ReadyTimeout = max(backLimit, w.ReadyTimeout)
		}
		return w
	}
	w.since = v.Status.ScaledDownAt
	w.to = func(c *v1alpha1.RestoredClaim) side { return side{c.RestoredClaim, c.RestoredVolume} }
	return w
}

// volume is the one that a claim is to lead the application to, nil where it is
// gone.
func (w Way) volume(s *State, c *v1alpha1.RestoredClaim) *corev1.PersistentVolume {
	if w.IsBack {
		return s.previousVolume(c)
	}
	return s.restoredVolume(c)
}

// isThere is true for a claim that leads the application to where it is to.
func (w Way) isThere(s *State, c *v1alpha1.RestoredClaim) bool {
	if w.IsBack {
		return strategyOf(s.Restore).isOnPrevious(s, c)
	}
	return strategyOf(s.Restore).isOnRestored(s, c)
}

// stoppedAt is when the application was told to stop, on this way where it was,
// and otherwise when this way was taken.
func (w Way) stoppedAt() *metav1.MicroTime { return cmp.Or(*w.ScaledDownAt, w.since) }

func readyTimeout(v *v1alpha1.VolumeRestore) time.Duration {
	if v.Spec.ReadyTimeout == nil {
		return 0
	}
	return v.Spec.ReadyTimeout.Duration
}

// swapLimit is how long claims may take to be swapped at least, however soon the
// application is to be ready: what binds claims may be restarted meanwhile, and
// giving up on the way back leaves the application down.
const swapLimit = 2 * time.Minute

// StepDeadline is how long a step may take: as long as the application has to be
// ready, and not less than the claims have to be swapped.
func StepDeadline(v *v1alpha1.VolumeRestore) time.Duration { return max(swapLimit, readyTimeout(v)) }

// stepSince is when the step that is in the status was begun.
func (s *State) stepSince() time.Time {
	if at := s.Restore.Status.StepSince; at != nil {
		return at.Time
	}
	return s.Now
}
