package restore

import (
	"strings"

	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/restore"
)

func eventSwapped(claims int) reconcile.Event {
	return reconcile.Normal("Swapped", "Restore", "the application's %d claim(s) lead to their restored volumes", claims)
}

func eventRestored(message string) reconcile.Event {
	return reconcile.Normal("Completed", "Restore", "%s", message)
}

func eventRollingBack(message string) reconcile.Event {
	return reconcile.Warning("RollingBack", "RollBack", "%s", message)
}

func eventRolledBack(message string) reconcile.Event {
	return reconcile.Normal("RolledBack", "RollBack", "%s", message)
}

func eventRestoreFailed(message string) reconcile.Event {
	return reconcile.Warning("Failed", "Restore", "%s", message)
}

func eventRollBackRefused(reason, message string) reconcile.Event {
	return reconcile.Warning(reason, "RollBack", "%s", message)
}

func eventReleased(message string) reconcile.Event {
	return reconcile.Normal("PreviousReleased", "Release", "%s", message)
}

func eventReleaseRefused(reason, message string) reconcile.Event {
	return reconcile.Warning(reason, "Release", "%s", message)
}

func eventNotRestored(claims []string) reconcile.Event {
	return reconcile.Warning("ClaimsNotInBackup", "Restore", "the backup doesn't hold %s: they stay as they are", strings.Join(claims, ", "))
}

func eventWarned(w restore.Warning) reconcile.Event {
	return reconcile.Warning(w.Reason, "Restore", "%s", w.Message)
}
