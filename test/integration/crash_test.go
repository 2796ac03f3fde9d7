package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// story is a backup's way, which is to come to the same end wherever it is
// disturbed.
type story struct {
	name string
	// begin makes the application and the backup.
	begin func(*world) *v1alpha1.VolumeBackup
	// meanwhile is what a person does, with the manager at work.
	meanwhile func(w *world, m *manager, b *v1alpha1.VolumeBackup)
	// end waits for what it must come to.
	end func(*world, *v1alpha1.VolumeBackup)
}

var stories = []story{
	{name: "Hold", begin: heldApplication, end: endsProven},
	{name: "Hooks", begin: hookedApplication, end: func(w *world, b *v1alpha1.VolumeBackup) { w.awaitComplete(b, v1alpha1.Declared) }},
	{name: "Idle", begin: idleApplication, end: endsProven},
	{name: "Hold that fails and goes on without", begin: unholdable, end: endsUnquieted},
	{name: "Hold that is never cut", begin: uncuttable, end: func(w *world, b *v1alpha1.VolumeBackup) {
		w.awaitFailed(b, v1alpha1.ReasonQuiesceFailed)
		w.noSnapshotIsLeft()
	}},
	{name: "Hooks, deleted while frozen", begin: uncuttableHooks, meanwhile: deletedWhileFrozen, end: endsGone},
	{name: "Hold, deleted when complete", begin: heldApplication, meanwhile: deletedWhenComplete, end: endsGone},
}

func heldApplication(w *world) *v1alpha1.VolumeBackup {
	w.anApplication("data", "log")
	return w.aBackup(w.held)
}

func hookedApplication(w *world) *v1alpha1.VolumeBackup {
	w.anApplication("data", "log")
	return w.aBackup(w.hooked)
}

func idleApplication(w *world) *v1alpha1.VolumeBackup {
	w.claims("data")
	return w.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data")
}

func unholdable(w *world) *v1alpha1.VolumeBackup {
	w.anApplication("data")
	return w.aBackup(w.heldBy(neverHolds), orContinue, attempts(1))
}

func uncuttable(w *world) *v1alpha1.VolumeBackup {
	w.anApplication("data", "log")
	w.storage.decide(func(claim string, _ int) fate { return fate{never: claim == "log"} })
	return w.aBackup(w.held, within(time.Second), attempts(1))
}

func uncuttableHooks(w *world) *v1alpha1.VolumeBackup {
	w.anApplication("data")
	w.storage.decide(func(string, int) fate { return fate{never: true} })
	return w.aBackup(w.hooked, within(2*time.Second))
}

func deletedWhileFrozen(w *world, m *manager, b *v1alpha1.VolumeBackup) {
	w.eventually("a snapshot is asked for", func() bool { return m.dead() || len(w.storage.made()) > 0 })
	w.delete(b)
}

func deletedWhenComplete(w *world, m *manager, b *v1alpha1.VolumeBackup) {
	w.endsOrDies(b, m)
	w.delete(b)
}

func endsProven(w *world, b *v1alpha1.VolumeBackup) { w.awaitComplete(b, v1alpha1.Proven) }

// endsUnquieted: a disturbance uses up the only attempt that there was.
func endsUnquieted(w *world, b *v1alpha1.VolumeBackup) {
	if b = w.awaitEnd(b); isTrue(b, v1alpha1.ConditionFailed) {
		w.awaitFailed(b, v1alpha1.ReasonQuiesceFailed, "after 2 attempt(s)")
	} else {
		w.awaitComplete(b, v1alpha1.Crash)
	}
}

func endsGone(w *world, b *v1alpha1.VolumeBackup) {
	w.awaitGone(b)
	w.nothingIsFrozen()
	w.noSnapshotIsLeft()
}

// endsOrDies waits for the end of the backup, or of its manager.
func (w *world) endsOrDies(b *v1alpha1.VolumeBackup, m *manager) {
	w.Helper()
	w.follow(m.life, b.Name, "at its end", func(b *v1alpha1.VolumeBackup) bool { return ended(b) && b.DeletionTimestamp.IsZero() })
}

// tell runs a story under a fault. Where the fault kills the manager another
// takes its place.
func (s *story) tell(w *world, f fault) *manager {
	b := s.begin(w)
	m := w.aManager(withFault(f))
	if s.meanwhile != nil {
		s.meanwhile(w, m, b)
	}
	if w.endsOrDies(b, m); m.dead() {
		w.aManager()
	}
	s.end(w, b)
	return m
}

// points are those that the story passes through undisturbed.
func (s *story) points(t *testing.T) (points []string) {
	t.Helper()
	t.Run("undisturbed", func(t *testing.T) {
		// Not parallel to the caller, who needs the answer.
		w := aWorldAlone(t)
		points = s.tell(w, func(int, string) action { return action{} }).passed()
	})
	return points
}

func TestAManagerThatIsKilledAnywhereLeavesNothingBehind(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for n, what := range s.points(t) {
				moments := map[string]when{"before": before, "after": after}
				if !strings.HasPrefix(what, writes) {
					moments = map[string]when{"at": before}
				}
				for name, moment := range moments {
					t.Run(fmt.Sprintf("%s %d %s", name, n, what), func(t *testing.T) {
						s.tell(aWorld(t), func(at int, _ string) action {
							if at == n {
								return action{kill: moment}
							}
							return action{}
						})
					})
				}
			}
		})
	}
}

var backups = schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "volumebackups"}

// answers that a write may get, each once at each write.
var answers = map[string]action{
	"conflict":                     {err: apierrors.NewConflict(backups, "backup", errors.New("somebody was faster"))},
	"internal error":               {err: apierrors.NewInternalError(errors.New("etcd has no leader"))},
	"timeout, and yet it was done": {err: apierrors.NewTimeoutError("no answer in time", 1), lost: true},
}

func TestAWriteThatFailsOnceChangesNoEnd(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for n, what := range s.points(t) {
				if !strings.HasPrefix(what, writes) {
					continue
				}
				for name, answer := range answers {
					t.Run(fmt.Sprintf("%d %s: %s", n, strings.TrimPrefix(what, writes), name), func(t *testing.T) {
						s.tell(aWorld(t), func(at int, _ string) action {
							if at == n {
								return answer
							}
							return action{}
						})
					})
				}
			}
		})
	}
}

// Each manager dies while it holds: the attempts are used up, and the backup
// says so instead of freezing the application for ever again.
func TestManagersThatDieAgainAndAgainUseUpTheAttempts(t *testing.T) {
	for name, begin := range map[string]func(*world) *v1alpha1.VolumeBackup{"Hold": heldApplication, "Hooks": hookedApplication} {
		t.Run(name, func(t *testing.T) {
			w := aWorld(t)
			b := begin(w)
			for range 4 {
				m := w.aManager(withFault(func(_ int, what string) action {
					if strings.HasPrefix(what, writes+"create snapshot of log") {
						return action{kill: after}
					}
					return action{}
				}))
				w.endsOrDies(b, m)
			}
			w.awaitFailed(b, v1alpha1.ReasonQuiesceFailed, "after 3 attempt(s)", "interrupted")
			w.noSnapshotIsLeft()
		})
	}
}

// A pre-hook may run in a container of its own, where it goes on when its
// manager dies: it could freeze after the recovery.
func TestALeftPreHookIsEndedInItsOwnContainer(t *testing.T) {
	w := aWorld(t)
	w.claims("data")
	pod := template("data")
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "side", Image: "side"})
	w.runs("mysql", pod, nil)
	first := w.aManager()
	b := w.aBackup(w.hookedBy(`if [ -e "$marks/../again" ]; then : >"$mark"; exit; fi; : >"$marks/../again"; exec tail -f /dev/null`, `rm -f "$mark"`),
		func(spec *v1alpha1.VolumeBackupSpec) { spec.Quiesce.Pre.Container = "side" })
	w.eventually("the pre-hook hangs", func() bool {
		_, err := os.Stat(filepath.Join(w.marks, "..", "again"))
		return err == nil
	})
	first.kill()
	w.aManager()
	w.awaitComplete(b, v1alpha1.Declared)
	w.happened("run pre-hook in mysql/side", "run kill in mysql/side", "run kill in mysql/db", "run post-hook in mysql/db", "run pre-hook in mysql/side")
}

// A manager that is told to stop lets go what it holds before it ends.
func TestAManagerThatStopsReleasesWhatItHolds(t *testing.T) {
	for name, quieted := range map[string]func(*world) func(*v1alpha1.VolumeBackupSpec){
		"Hold":  func(w *world) func(*v1alpha1.VolumeBackupSpec) { return w.held },
		"Hooks": func(w *world) func(*v1alpha1.VolumeBackupSpec) { return w.hooked },
	} {
		t.Run(name, func(t *testing.T) {
			w := aWorld(t)
			w.anApplication("data")
			w.storage.decide(func(_ string, n int) fate { return fate{never: n == 1} })
			m := w.aManager()
			b := w.aBackup(quieted(w), within(time.Hour))
			w.eventually("a snapshot is asked for", func() bool { return len(w.storage.made()) == 1 })
			m.stop()
			w.nothingIsFrozen()
			w.aManager()
			b = w.awaitEnd(b)
			w.isMethod(b, b.Status.Quiesce.Method, 2)
		})
	}
}

// Leader election keeps two managers from working at once; where it fails them
// they may get into each other's way, but must prove nothing that isn't so.
func TestTwoManagersAtOnceProveNothingFalse(t *testing.T) {
	for name, begin := range map[string]func(*world) *v1alpha1.VolumeBackup{"Hold": heldApplication, "Hooks": hookedApplication, "Idle": idleApplication} {
		for n := range 3 {
			t.Run(fmt.Sprintf("%s %d", name, n+1), func(t *testing.T) {
				w := aWorld(t)
				b := begin(w)
				w.aManager()
				w.aManager()
				b = w.awaitEnd(b)
				t.Logf("%s, %s after %d attempt(s)", b.Status.Phase, b.Status.Consistency, b.Status.Quiesce.Attempt)
			})
		}
	}
}
