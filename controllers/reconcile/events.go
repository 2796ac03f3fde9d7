package reconcile

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/snapshot/names"
)

// Event is something that happened to an object, for people.
type Event struct{ Type, Reason, Action, Note string }

// Normal is an event of what was to happen.
func Normal(reason, action, format string, args ...any) Event {
	return Event{corev1.EventTypeNormal, reason, action, fmt.Sprintf(format, args...)}
}

// Warning is an event of what a person should look at.
func Warning(reason, action, format string, args ...any) Event {
	return Event{corev1.EventTypeWarning, reason, action, fmt.Sprintf(format, args...)}
}

const (
	// maxNote is the longest note that the events API takes, in bytes.
	maxNote = 1024
	// maxMessage bounds the message of a condition, in bytes. The API refuses
	// an object with more than 32 KiB in one, and nothing of it could be
	// written then.
	maxMessage = 4096
)

// Shorten is the text with at most as many bytes as a condition's message may
// have, whole runes of them.
func Shorten(text string) string { return names.Clip(text, maxMessage) }
