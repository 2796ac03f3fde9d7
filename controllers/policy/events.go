package policy

import (
	"strings"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/policy"
)

func eventMissedRun(missed []string) reconcile.Event {
	return reconcile.Warning("MissedRun", "Schedule", "%s", strings.Join(missed, "; "))
}

// eventClockWasAhead says why what was told of before is told no more.
func eventClockWasAhead(told, now time.Time) reconcile.Event {
	return reconcile.Warning("ClockWasAhead", "Observe",
		"the status told of %s, which is still to come: the manager's clock was ahead, or is behind now. Due times count from %s on, which is now by its clock",
		told.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
}

func eventRetentionHeld(message string) reconcile.Event {
	return reconcile.Warning(v1alpha1.ReasonRetentionHeld, "Remove", "%s", message)
}

// eventMassDeletion says what is gone and where it stands who did it: of a deleted
// object nothing tells that but the audit log. What may be long comes last.
func eventMassDeletion(s *policy.State, mass []policy.Deletion) reconcile.Event {
	told := s.Status.MassDeletion
	namespace, where := mass[0].Backup.Namespace, "-n "+mass[0].Backup.Namespace
	if s.IsOfCluster() {
		where = "-A"
	}
	return reconcile.Warning(v1alpha1.ReasonMassDeletion, "NoteMassDeletion",
		"others have deleted %d backups of the policy since %s, and retention is held. "+
			"Who did: the API server's audit log has it, with verb delete or deletecollection and resource volumebackups. "+
			"Who may: kubectl get rolebindings,clusterrolebindings %s -o wide lists who has which role, "+
			"and of any of them tells kubectl auth can-i delete volumebackups.lull.dev -n %s --as=NAME. "+
			"They were of %s: %s",
		told.Count, policy.ReleaseOf(told), where, namespace, names.List(s.ApplicationsOf(mass)), names.List(told.Backups))
}
