package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// isWarned waits for a warning event about the backup.
func (fc *fakeCluster) isWarned(b *v1alpha1.VolumeBackup, reason, says string) {
	fc.Helper()
	fc.eventually("a warning "+reason+" that says "+says, func() bool {
		var events eventsv1.EventList
		fc.must(admin.List(fc.ctx, &events, client.InNamespace(fc.namespace)))
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
	fc := aFakeCluster(t)
	fc.claims("data")
	fc.aDeployment("db", annotated(map[string]string{
		v1alpha1.AnnotationPreHook: `mysql -e "flush tables with read lock"`, v1alpha1.AnnotationPostHook: "true",
	}, "data"))
	fc.aManager()
	b := fc.awaitComplete(fc.aBackupOf(v1alpha1.KindDeployment, "db"), v1alpha1.Proven)
	fc.isMethod(b, v1alpha1.MethodIdle, 1)
	fc.isWarned(b, v1alpha1.ReasonUselessHook, "protects nothing")
}

// Nobody says of half a pair that the application was quiet.
func TestHalfAPairIsRunAndDeclaresNothing(t *testing.T) {
	for name, c := range map[string]struct {
		annotation, script string
		ran, says, lacks   string
		thawed             string
	}{
		"Velero's pre-hook": {"pre.hook.backup.velero.io/command", `: pre; :`, "run pre-hook",
			"pod db has a pre-hook and no post-hook", "post.hook.backup.velero.io/command", "not every pod has a post-hook"},
		"Velero's post-hook": {"post.hook.backup.velero.io/command", `: post; :`, "run post-hook",
			"pod db has a post-hook and no pre-hook", "pre.hook.backup.velero.io/command", "the application goes on"},
		"the seed's post-hook": {"backups.example.com.post-hook", `: post; :`, "run post-hook",
			"pod db has a post-hook and no pre-hook", "backups.example.com.pre-hook", "the application goes on"},
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.claims("data")
			command, err := json.Marshal(fc.command(c.script))
			fc.must(err)
			fc.runs("db", annotated(map[string]string{c.annotation: string(command)}, "data"), nil)
			fc.aManager()
			b := fc.awaitComplete(fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data"), v1alpha1.Crash)
			fc.isMethod(b, v1alpha1.MethodHooks, 1)
			fc.happened(c.ran)
			if !strings.Contains(b.Status.Message, c.says) {
				t.Errorf("should say %q: %s", c.says, b.Status.Message)
			}
			if q := b.Status.Quiesce; isTrue(b, v1alpha1.ConditionFrozen) || q.FrozenAt != nil || q.FrozenFor != nil {
				t.Errorf("nobody says that it was frozen:\n%s", describe(b))
			}
			if said := condition(b, v1alpha1.ConditionThawed).Message; !strings.Contains(said, c.thawed) {
				t.Errorf("should say %q of the thaw: %s", c.thawed, said)
			}
			fc.isWarned(b, v1alpha1.ReasonUnpairedHook, c.lacks)
		})
	}
}

// What it freezes would stay frozen.
func TestTheSeedsPreHookAloneIsNotRun(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	fc.runs("db", annotated(map[string]string{"backups.example.com.pre-hook": `: pre; :`}, "data"), nil)
	fc.aManager()
	fc.awaitFailed(fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data"), v1alpha1.ReasonInvalidHook, "without backups.example.com.post-hook", "write both")
	fc.noCommandRan()
}

// What a pre-hook did that was interrupted is undone by nobody, if there is no
// post-hook: it is ended, and no more is said.
func TestAPreHookAloneIsNotSaidToBeThawed(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	command, err := json.Marshal(fc.command(`: pre; if [ -e "$marks/../again" ]; then exit; fi; : >"$marks/../again"; exec tail -f /dev/null`))
	fc.must(err)
	fc.runs("db", annotated(map[string]string{"pre.hook.backup.velero.io/command": string(command)}, "data"), nil)
	first := fc.aManager()
	b := fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data")
	fc.eventually("the pre-hook hangs", func() bool {
		_, err := os.Stat(filepath.Join(fc.marks, "..", "again"))
		return err == nil
	})
	first.kill()
	fc.aManager()
	failed := fc.await(b, "given up once, or at its end", func(b *v1alpha1.VolumeBackup) bool {
		return ended(b) || b.Status.Quiesce != nil && b.Status.Quiesce.Failure != ""
	})
	const says = "not every pod has a post-hook"
	if q := failed.Status.Quiesce; !strings.Contains(q.Failure, says) || !strings.Contains(condition(failed, v1alpha1.ConditionThawed).Message, says) {
		t.Errorf("should say %q:\n%s", says, describe(failed))
	}
	fc.isMethod(fc.awaitComplete(b, v1alpha1.Crash), v1alpha1.MethodHooks, 2)
	fc.happened("run pre-hook", "run kill", "run pre-hook")
}
