package integration

import (
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// isWarned waits for a warning event about the backup.
func (w *world) isWarned(b *v1alpha1.VolumeBackup, reason, says string) {
	w.Helper()
	w.eventually("a warning "+reason+" that says "+says, func() bool {
		var events eventsv1.EventList
		w.must(admin.List(w.ctx, &events, client.InNamespace(w.namespace)))
		for _, e := range events.Items {
			if e.Regarding.UID == b.UID && e.Type == "Warning" && e.Reason == reason && strings.Contains(e.Note, says) {
				return true
			}
		}
		return false
	})
}

// The owner is to know before the day when a pod runs.
func TestHooksAreWarnedOfWhereNoPodRuns(t *testing.T) {
	w := aWorld(t)
	w.claims("data")
	w.aDeployment("db", annotated(map[string]string{
		v1alpha1.AnnotationPreHook: `mysql -e "flush tables with read lock"`, v1alpha1.AnnotationPostHook: "true",
	}, "data"))
	w.aManager()
	b := w.awaitComplete(w.aBackupOf(v1alpha1.KindDeployment, "db"), v1alpha1.Proven)
	w.isMethod(b, v1alpha1.MethodIdle, 1)
	w.isWarned(b, v1alpha1.ReasonUselessHook, "protects nothing")
}
