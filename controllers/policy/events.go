package policy

import (
	"strings"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
)

func eventMissedRun(missed []string) reconcile.Event {
	return reconcile.Warning("MissedRun", "Schedule", "%s", strings.Join(missed, "; "))
}

func eventRetentionHeld(message string) reconcile.Event {
	return reconcile.Warning(v1alpha1.ReasonRetentionHeld, "Remove", "%s", message)
}
