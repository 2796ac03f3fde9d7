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

func eventMaintenanceFailed(message string) reconcile.Event {
	return reconcile.Warning("MaintenanceFailed", "Maintain", "%s", message)
}
