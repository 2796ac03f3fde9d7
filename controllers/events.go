package controllers

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks"
)

// event is something that happened to an object, for people.
type event struct{ kind, reason, action, note string }

// maxNote is the longest note that the events API takes, in bytes.
const maxNote = 1024

func record(to events.EventRecorder, about runtime.Object, e event) {
	to.Eventf(about, nil, e.kind, e.reason, e.action, "%s", shortened(e.note, maxNote))
}

// maxMessage bounds what is said in a condition, in bytes. The API refuses an
// object with more than 32 KiB in one, and then nothing of it could be written.
const maxMessage = 4096

// shortened is the text with at most limit bytes, whole runes of them.
func shortened(text string, limit int) string {
	const more = "…"
	if len(text) <= limit {
		return text
	}
	end := limit - len(more)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + more
}

func normal(reason, action, format string, args ...any) event {
	return event{corev1.EventTypeNormal, reason, action, fmt.Sprintf(format, args...)}
}

func warning(reason, action, format string, args ...any) event {
	return event{corev1.EventTypeWarning, reason, action, fmt.Sprintf(format, args...)}
}

func eventFrozen(pods int) event {
	return normal("Frozen", "Quiesce", "%d pod(s) of the application hold still", pods)
}

func eventCut(volumes int) event {
	return normal("SnapshotsCut", "Snapshot", "%d snapshot(s) are cut", volumes)
}

func eventThawed(frozenFor time.Duration) event {
	return normal("Thawed", "Quiesce", "the application goes on, it was frozen for %s", frozenFor.Round(time.Millisecond))
}

func eventRecoveredThaw(pods int, interrupted bool) event {
	what := "thawed after all"
	if interrupted {
		what = "thawed, after the attempt was interrupted"
	}
	return warning("RecoveredThaw", "Quiesce", "%d pod(s) are %s; the snapshots of the attempt are discarded", pods, what)
}

func eventThawFailed(message string) event {
	return warning(v1alpha1.ReasonThawFailed, "Quiesce", "%s", message)
}

func eventAttemptFailed(attempt, message string) event {
	return warning(v1alpha1.ReasonQuiesceFailed, "Quiesce", "%s: %s", attempt, message)
}

func eventLateCutDiscarded(kind, name string) event {
	return warning("LateCutDiscarded", "Snapshot", "%s %s is of an attempt that proves nothing: it is deleted", kind, name)
}

func eventReady(volumes int) event {
	return normal("SnapshotsReady", "Snapshot", "%d snapshot(s) can be restored", volumes)
}

func eventCompleted(message string) event {
	return normal("Completed", "Backup", "%s", message)
}

func eventFailed(message string) event {
	return warning("Failed", "Backup", "%s", message)
}

func eventHookWarning(w hooks.Warning) event {
	return warning(w.Reason, "Resolve", "%s", w.Message)
}

func eventSwapped(claims int) event {
	return normal("Swapped", "Restore", "the application's %d claim(s) lead to their restored volumes", claims)
}

func eventRestored(message string) event {
	return normal("Completed", "Restore", "%s", message)
}

func eventRollingBack(message string) event {
	return warning("RollingBack", "RollBack", "%s", message)
}

func eventRolledBack(message string) event {
	return normal("RolledBack", "RollBack", "%s", message)
}

func eventRestoreFailed(message string) event {
	return warning("Failed", "Restore", "%s", message)
}

func eventRollBackRefused(reason, message string) event {
	return warning(reason, "RollBack", "%s", message)
}

func eventNotRestored(claims []string) event {
	return warning("ClaimsNotInBackup", "Restore", "the backup doesn't hold %s: they stay as they are", strings.Join(claims, ", "))
}
