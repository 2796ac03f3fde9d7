package hooks

import (
	"fmt"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Limits are the longest that an administrator allows, whatever an application's
// owner asks for. Zero is no limit.
type Limits struct {
	// Freeze is the longest that an application may stay frozen. Of a longer timeout
	// that much counts, and a warning says so: it is only thawed earlier.
	Freeze time.Duration
	// PostHook is the longest that a post-hook may take. A longer one is a Problem:
	// one that is killed halfway may never thaw.
	PostHook time.Duration
}

// freeze is what counts of a timeout.
func (l Limits) freeze(timeout time.Duration) time.Duration {
	if l.Freeze == 0 {
		return timeout
	}
	return min(timeout, l.Freeze)
}

// shortened is the warning where not all counts of a timeout that was asked for.
func (l Limits) shortened(asked time.Duration) []Warning {
	if l.freeze(asked) == asked {
		return nil
	}
	return []Warning{{v1alpha1.ReasonTimeoutShortened, fmt.Sprintf(
		"the timeout is %s, and counts as %s: no application may be frozen for longer here. Write at most that, or ask whoever runs Lull to raise --max-freeze", asked, l.Freeze)}}
}

// postHook is a post-hook with a limit that is allowed.
func (l Limits) postHook(c Command) (Command, error) {
	switch {
	case !c.isSet() || l.PostHook == 0:
	case c.Timeout > l.PostHook:
		return c, v1alpha1.Problemf(v1alpha1.ReasonInvalidHook,
			"the post-hook may take %s by its annotation, and no post-hook may take longer than %s here: write at most that, or ask whoever runs Lull to raise --max-post-hook", c.Timeout, l.PostHook)
	case c.Timeout == 0 && l.PostHook < DefaultPostTimeout:
		c.Timeout = l.PostHook
	}
	return c, nil
}

// heedOwner has a backup's timeout count only where it isn't longer than the one on
// the pod template: that is the owner's, and whoever may create a backup may still
// have no right to freeze the application for longer. Who brings commands has:
// nobody else may create such a backup (deploy/admission).
func (s settings) heedOwner(owner parsed[time.Duration]) settings {
	if s.commands.isSet() || !s.timeout.isSet() || !owner.isSet() {
		return s
	}
	if owner.err == nil {
		if s.timeout.is <= owner.is {
			return s
		}
		s.warnings = append(s.warnings, Warning{v1alpha1.ReasonTimeoutShortened, fmt.Sprintf(
			"spec.quiesce.timeout is %s, and the pod template says %s, which counts: the shorter does, unless spec.quiesce brings the commands too, for which one may create pods/exec", s.timeout.is, owner.is)})
	}
	s.timeout = parsed[time.Duration]{}
	return s
}
