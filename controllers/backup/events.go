package backup

import (
	"strings"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/hooks"
)

func eventFrozen(pods int) reconcile.Event {
	return reconcile.Normal("Frozen", "Quiesce", "%d pod(s) of the application hold still", pods)
}

func eventCut(volumes int) reconcile.Event {
	return reconcile.Normal("SnapshotsCut", "Snapshot", "%d snapshot(s) are cut", volumes)
}

func eventDriverRetries(complaint string) reconcile.Event {
	return reconcile.Warning(v1alpha1.ReasonNotCut, "Snapshot", "the storage driver could not cut, and may try again, since nothing is frozen: %.900s", complaint)
}

func eventThawed(frozenFor time.Duration) reconcile.Event {
	return reconcile.Normal("Thawed", "Quiesce", "the application goes on, it was frozen for %s", frozenFor.Round(time.Millisecond))
}

func eventRecoveredThaw(pods int, interrupted bool) reconcile.Event {
	what := "thawed after all"
	if interrupted {
		what = "thawed, after the attempt was interrupted"
	}
	return reconcile.Warning("RecoveredThaw", "Quiesce", "%d pod(s) are %s; the snapshots of the attempt are discarded", pods, what)
}

func eventThawFailed(message string) reconcile.Event {
	return reconcile.Warning(v1alpha1.ReasonThawFailed, "Quiesce", "%s", message)
}

func eventAttemptFailed(attempt, message string) reconcile.Event {
	return reconcile.Warning(v1alpha1.ReasonQuiesceFailed, "Quiesce", "%s: %s", attempt, message)
}

func eventLateCutDiscarded(kind, name string) reconcile.Event {
	return reconcile.Warning("LateCutDiscarded", "Snapshot", "%s %s is of an attempt that proves nothing: it is deleted", kind, name)
}

func eventCopyStays(kind, name string, why error) reconcile.Event {
	return reconcile.Warning("CopyStays", "Snapshot", "%s %s has the deletionPolicy Retain and can't be set to Delete, so that its copy stays in the storage. "+
		"To delete it: kubectl patch %s %s --type=merge -p '{\"spec\":{\"deletionPolicy\":\"Delete\"}}', and then kubectl delete it. The cause: %v", kind, name, strings.ToLower(kind), name, why)
}

func eventReady(volumes int) reconcile.Event {
	return reconcile.Normal("SnapshotsReady", "Snapshot", "%d snapshot(s) can be restored", volumes)
}

func eventSnapshotLost(message string) reconcile.Event {
	return reconcile.Warning(v1alpha1.ReasonSnapshotLost, "Snapshot", "%s", message)
}

func eventExported(volumes int, repository string) reconcile.Event {
	return reconcile.Normal("Exported", "Export", "%d volume(s) are in repository %s", volumes, repository)
}

func eventCompleted(message string) reconcile.Event {
	return reconcile.Normal("Completed", "Backup", "%s", message)
}

func eventFailed(message string) reconcile.Event {
	return reconcile.Warning("Failed", "Backup", "%s", message)
}

func eventWarning(w hooks.Warning) reconcile.Event {
	return reconcile.Warning(w.Reason, "Resolve", "%s", w.Message)
}
