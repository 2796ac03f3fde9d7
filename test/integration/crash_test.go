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

// scenario is a backup's way, which is to come to the same end wherever it is
// disturbed.
type scenario struct {
	name string
	// begin makes the application and the backup.
	begin func(*fakeCluster) *v1alpha1.VolumeBackup
	// meanwhile is what a person does, with the manager at work.
	meanwhile func(fc *fakeCluster, m *manager, b *v1alpha1.VolumeBackup)
	// end waits for what it must come to.
	end func(*fakeCluster, *v1alpha1.VolumeBackup)
}

var scenarios = []scenario{
	{name: "Hold", begin: heldApplication, end: endsProven},
	{name: "Hooks", begin: hookedApplication, end: func(fc *fakeCluster, b *v1alpha1.VolumeBackup) { fc.awaitComplete(b, v1alpha1.Declared) }},
	{name: "Idle", begin: anUnmountedClaim, end: endsProven},
	{name: "Hold that fails and goes on without", begin: unholdable, end: endsUnquieted},
	{name: "Hold that is never cut", begin: uncuttable, end: func(fc *fakeCluster, b *v1alpha1.VolumeBackup) {
		fc.awaitFailed(b, v1alpha1.ReasonQuiesceFailed)
		fc.noSnapshotIsLeft()
	}},
	{name: "Hooks, deleted while frozen", begin: uncuttableHooks, meanwhile: deletedWhileFrozen, end: endsGone},
	{name: "Hold, deleted when complete", begin: heldApplication, meanwhile: deletedWhenComplete, end: endsGone},
}

func heldApplication(fc *fakeCluster) *v1alpha1.VolumeBackup {
	fc.anApplication("data", "log")
	return fc.aBackup(fc.held)
}

func hookedApplication(fc *fakeCluster) *v1alpha1.VolumeBackup {
	fc.anApplication("data", "log")
	return fc.aBackup(fc.hooked)
}

func anUnmountedClaim(fc *fakeCluster) *v1alpha1.VolumeBackup {
	fc.claims("data")
	return fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data")
}

func unholdable(fc *fakeCluster) *v1alpha1.VolumeBackup {
	fc.anApplication("data")
	return fc.aBackup(fc.heldBy(neverHolds), orContinue, attempts(1))
}

func uncuttable(fc *fakeCluster) *v1alpha1.VolumeBackup {
	fc.anApplication("data", "log")
	fc.storage.decide(func(claim string, _ int) fate { return fate{never: claim == "log"} })
	return fc.aBackup(fc.held, within(time.Second), attempts(1))
}

func uncuttableHooks(fc *fakeCluster) *v1alpha1.VolumeBackup {
	fc.anApplication("data")
	fc.storage.decide(func(string, int) fate { return fate{never: true} })
	return fc.aBackup(fc.hooked, within(30*time.Second)) // its deletion ends it
}

func deletedWhileFrozen(fc *fakeCluster, m *manager, b *v1alpha1.VolumeBackup) {
	fc.eventually("a snapshot is asked for", func() bool { return m.dead() || len(fc.storage.made()) > 0 })
	fc.delete(b)
}

func deletedWhenComplete(fc *fakeCluster, m *manager, b *v1alpha1.VolumeBackup) {
	fc.endsOrDies(b, m)
	fc.delete(b)
}

func endsProven(fc *fakeCluster, b *v1alpha1.VolumeBackup) { fc.awaitComplete(b, v1alpha1.Proven) }

// endsUnquieted: a disturbance uses up the only attempt that there was.
func endsUnquieted(fc *fakeCluster, b *v1alpha1.VolumeBackup) {
	if b = fc.awaitEnd(b); isTrue(b, v1alpha1.ConditionFailed) {
		fc.awaitFailed(b, v1alpha1.ReasonQuiesceFailed, "after 2 attempt(s)")
	} else {
		fc.awaitComplete(b, v1alpha1.Crash)
	}
}

func endsGone(fc *fakeCluster, b *v1alpha1.VolumeBackup) {
	fc.awaitGone(b)
	fc.nothingIsFrozen()
	fc.noSnapshotIsLeft()
}

// endsOrDies waits for the end of the backup, or of its manager.
func (fc *fakeCluster) endsOrDies(b *v1alpha1.VolumeBackup, m *manager) {
	fc.Helper()
	fc.follow(m.life, b.Name, "at its end", func(b *v1alpha1.VolumeBackup) bool { return ended(b) && b.DeletionTimestamp.IsZero() })
}

// run runs a scenario under a fault. Where the fault kills the manager another
// takes its place, also where that is while it cleans up after the end.
func (s *scenario) run(fc *fakeCluster, f fault) *manager {
	b := s.begin(fc)
	m := fc.aManager(withFault(f))
	defer fc.replaced(m)()
	if s.meanwhile != nil {
		s.meanwhile(fc, m, b)
	}
	fc.endsOrDies(b, m)
	s.end(fc, b)
	return m
}

// replaced has another manager take the place of one that dies, until it is told that
// nobody needs one any more.
func (fc *fakeCluster) replaced(m *manager) (unneeded func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-m.life.Done():
			fc.aManager()
		case <-done:
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// points are those that the scenario passes through undisturbed.
func (s *scenario) points(t *testing.T) (points []string) {
	t.Helper()
	t.Run("undisturbed", func(t *testing.T) {
		// Not parallel to the caller, who needs the answer.
		fc := aFakeClusterAlone(t)
		points = s.run(fc, func(int, string) action { return action{} }).passed()
	})
	return points
}

func TestAManagerThatIsKilledAnywhereLeavesNothingBehind(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for n, what := range s.points(t) {
				moments := map[string]when{"before": before, "after": after}
				if !strings.HasPrefix(what, writes) {
					moments = map[string]when{"at": before}
				}
				for name, moment := range moments {
					t.Run(fmt.Sprintf("%s %d %s", name, n, what), func(t *testing.T) {
						s.run(aFakeCluster(t), func(at int, _ string) action {
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
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for n, what := range s.points(t) {
				if !strings.HasPrefix(what, writes) {
					continue
				}
				for name, answer := range answers {
					t.Run(fmt.Sprintf("%d %s: %s", n, strings.TrimPrefix(what, writes), name), func(t *testing.T) {
						s.run(aFakeCluster(t), func(at int, _ string) action {
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
	for name, begin := range map[string]func(*fakeCluster) *v1alpha1.VolumeBackup{"Hold": heldApplication, "Hooks": hookedApplication} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			b := begin(fc)
			for range 4 {
				m := fc.aManager(withFault(func(_ int, what string) action {
					if strings.HasPrefix(what, writes+"create snapshot of log") {
						return action{kill: after}
					}
					return action{}
				}))
				fc.endsOrDies(b, m)
			}
			fc.awaitFailed(b, v1alpha1.ReasonQuiesceFailed, "after 3 attempt(s)", "interrupted")
			fc.noSnapshotIsLeft()
		})
	}
}

// A pre-hook may run in a container of its own, where it goes on when its
// manager dies: it could freeze after the recovery.
func TestALeftPreHookIsEndedInItsOwnContainer(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	pod := template("data")
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "side", Image: "side"})
	fc.runs("mysql", pod, nil)
	first := fc.aManager()
	b := fc.aBackup(fc.hookedBy(`if [ -e "$marks/../again" ]; then : >"$mark"; exit; fi; : >"$marks/../again"; exec tail -f /dev/null`, `rm -f "$mark"`),
		func(spec *v1alpha1.VolumeBackupSpec) { spec.Quiesce.Pre.Container = "side" })
	fc.eventually("the pre-hook hangs", func() bool {
		_, err := os.Stat(filepath.Join(fc.marks, "..", "again"))
		return err == nil
	})
	first.kill()
	fc.aManager()
	fc.awaitComplete(b, v1alpha1.Declared)
	fc.happened("run pre-hook in mysql/side", "run kill in mysql/side", "run kill in mysql/db", "run post-hook in mysql/db", "run pre-hook in mysql/side")
}

// A manager that is told to stop lets go what it holds before it ends.
func TestAManagerThatStopsReleasesWhatItHolds(t *testing.T) {
	for name, quieted := range map[string]func(*fakeCluster) func(*v1alpha1.VolumeBackupSpec){
		"Hold":  func(fc *fakeCluster) func(*v1alpha1.VolumeBackupSpec) { return fc.held },
		"Hooks": func(fc *fakeCluster) func(*v1alpha1.VolumeBackupSpec) { return fc.hooked },
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.anApplication("data")
			fc.storage.decide(func(_ string, n int) fate { return fate{never: n == 1} })
			m := fc.aManager()
			b := fc.aBackup(quieted(fc), within(time.Hour))
			fc.eventually("a snapshot is asked for", func() bool { return len(fc.storage.made()) == 1 })
			m.stop()
			fc.nothingIsFrozen()
			fc.aManager()
			b = fc.awaitEnd(b)
			fc.isMethod(b, b.Status.Quiesce.Method, 2)
		})
	}
}

// Leader election keeps two managers from working at once; where it fails them
// they may get into each other's way, but must prove nothing that isn't so.
func TestTwoManagersAtOnceProveNothingFalse(t *testing.T) {
	for name, begin := range map[string]func(*fakeCluster) *v1alpha1.VolumeBackup{"Hold": heldApplication, "Hooks": hookedApplication, "Idle": anUnmountedClaim} {
		for n := range 3 {
			t.Run(fmt.Sprintf("%s %d", name, n+1), func(t *testing.T) {
				fc := aFakeCluster(t)
				b := begin(fc)
				fc.aManager()
				fc.aManager()
				b = fc.awaitEnd(b)
				t.Logf("%s, %s after %d attempt(s)", b.Status.Phase, b.Status.Consistency, b.Status.Quiesce.Attempt)
			})
		}
	}
}
