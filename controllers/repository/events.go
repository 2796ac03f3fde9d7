package repository

import (
	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
)

func eventInitialised(id string) reconcile.Event {
	return reconcile.Normal("Initialised", "Init", "repository %.8s was made", id)
}

func eventNotReady(reason, message string) reconcile.Event {
	return reconcile.Warning(reason, "Look", "%s", message)
}

func eventSnapshotsVanished(message string) reconcile.Event {
	return reconcile.Warning(v1alpha1.ReasonSnapshotsVanished, "Look", "%s", message)
}

func eventRekeyed(from, to string) reconcile.Event {
	return reconcile.Normal("PasswordExchanged", "Rekey", "the repository has the password of Secret %s now, and that of Secret %s opens it no more", to, from)
}

func eventCopied(snapshots int, to string) reconcile.Event {
	return reconcile.Normal(v1alpha1.ReasonCopied, "Copy", "%d snapshots were copied to repository %s", snapshots, to)
}

func eventNotCopied(c *v1alpha1.CopyStatus) reconcile.Event {
	return reconcile.Warning(c.Reason, "Copy", "to repository %s: %s", c.Name, c.Message)
}

func eventMaintenanceFailed(message string) reconcile.Event {
	return reconcile.Warning("MaintenanceFailed", "Maintain", "%s", message)
}
