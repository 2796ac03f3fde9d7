package integration

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestAHeldApplicationIsProven(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data", "log")
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
	fc.isMethod(b, v1alpha1.MethodHold, 1)
	fc.happened("run hold", "HELD mysql", "create snapshot", "cut", "released mysql", "STILL_HELD mysql")
	fc.isAllBefore("HELD", "create snapshot")
	fc.isAllBefore("create snapshot", "released")
	fc.isAllBefore("cut", "released")
	if q := b.Status.Quiesce; q.FrozenAt == nil || q.CutAt == nil || q.ThawedAt == nil || q.FrozenFor == nil || !slices.Equal(claimsOf(b), []string{"data", "log"}) {
		t.Errorf("times or volumes are missing:\n%s", describe(b))
	}
}

func TestAllPodsHoldBeforeTheFirstSnapshotAndUntilTheLast(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data-db-0", "data-db-1", "data-db-2")
	set := fc.aStatefulSet("db", 3, "data")
	for _, n := range []string{"0", "1", "2"} {
		fc.runs("db-"+n, template("data-db-"+n), set)
	}
	fc.aManager()
	b := fc.awaitComplete(fc.aBackupOf(v1alpha1.KindStatefulSet, "db", fc.held), v1alpha1.Proven)
	if len(b.Status.Quiesce.Pods) != 3 {
		t.Errorf("three pods should be quieted:\n%s", describe(b))
	}
	fc.isAllBefore("HELD", "create snapshot")
	fc.isAllBefore("cut", "released")
}

func TestHooksAreDeclared(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data", "log")
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.hooked), v1alpha1.Declared)
	fc.isMethod(b, v1alpha1.MethodHooks, 1)
	fc.isAllBefore("end of pre-hook", "create snapshot")
	fc.isAllBefore("cut", "released")
}

func TestWithoutHooksABackupIsOfTheRunningApplication(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(), v1alpha1.Crash)
	fc.isMethod(b, v1alpha1.MethodNone, 1)
	fc.noCommandRan()
}

func TestAnApplicationThatDoesntRunIsProvenIdle(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	fc.aManager()
	b := fc.awaitComplete(fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data", fc.held), v1alpha1.Proven)
	fc.isMethod(b, v1alpha1.MethodIdle, 1)
	fc.noCommandRan()
}

func TestAPodThatStartsDuringAnIdleBackupDisprovesIt(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	cut := fc.storage.holdFirstCuts()
	fc.aManager()
	b := fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data", attempts(1))
	fc.eventually("a snapshot is asked for", func() bool { return len(fc.storage.made()) == 1 })
	fc.runs("late", template("data"), nil)
	close(cut)
	fc.awaitFailed(b, v1alpha1.ReasonQuiesceFailed, "another pod began to use the volumes")
}

// Whoever comes after a crash knows what to thaw only from what stands in the
// status before the first command runs.
func TestTheIntentIsWrittenBeforeTheFirstCommand(t *testing.T) {
	for name, quieted := range map[string]func(*fakeCluster) func(*v1alpha1.VolumeBackupSpec){
		"Hold":  func(fc *fakeCluster) func(*v1alpha1.VolumeBackupSpec) { return fc.held },
		"Hooks": func(fc *fakeCluster) func(*v1alpha1.VolumeBackupSpec) { return fc.hooked },
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			pod := fc.anApplication("data", "log")
			asked := false
			fc.aManager(withFault(func(_ int, what string) action {
				if strings.HasPrefix(what, "run ") && !asked {
					asked = true
					fc.intentStands(t, pod)
				}
				return action{}
			}))
			fc.awaitEnd(fc.aBackup(quieted(fc)))
			if !asked {
				t.Error("no command was run")
			}
		})
	}
}

func (fc *fakeCluster) intentStands(t *testing.T, pod *corev1.Pod) {
	var all v1alpha1.VolumeBackupList
	if err := admin.List(fc.ctx, &all, client.InNamespace(fc.namespace)); err != nil || len(all.Items) != 1 {
		t.Errorf("one backup should be there: %v", err)
		return
	}
	b := &all.Items[0]
	q := b.Status.Quiesce
	if q == nil || q.ThawedAt != nil || q.Deadline == nil || len(q.Pods) != 1 || q.Pods[0].UID != pod.UID || q.Pods[0].Container != "db" {
		t.Errorf("the intent isn't written:\n%s", describe(b))
		return
	}
	if (q.Method == v1alpha1.MethodHooks) != (len(q.Pods[0].Post) > 0) {
		t.Errorf("the post-hook should stand in the intent of hooks:\n%s", describe(b))
	}
	if len(b.Status.Volumes) != 2 || b.Status.Volumes[0].SnapshotName == "" {
		t.Errorf("the snapshots to be made aren't written:\n%s", describe(b))
	}
	if len(b.Finalizers) == 0 {
		t.Error("nothing keeps the object from being deleted while it is frozen")
	}
}

func TestTheApplicationGoesOnAtTheCutAndNotAtReady(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	ready := make(chan struct{})
	fc.storage.decide(func(string, int) fate { return fate{ready: ready} })
	fc.aManager()
	b := fc.await(fc.aBackup(fc.held), "cut and thawed", func(b *v1alpha1.VolumeBackup) bool {
		return b.Status.Consistency == v1alpha1.Proven && isTrue(b, v1alpha1.ConditionThawed)
	})
	fc.nothingIsFrozen()
	if b.Status.Phase != v1alpha1.PhaseSnapshotting || ended(b) {
		t.Errorf("should wait until it is ready:\n%s", describe(b))
	}
	close(ready)
	fc.awaitComplete(b, v1alpha1.Proven)
}

func TestAnUncutSnapshotIsGivenUpAtTheDeadlineAndTriedAgainUnderANewName(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data", "log")
	late := make(chan struct{})
	fc.storage.decide(func(claim string, n int) fate {
		if claim == "log" && n == 1 {
			return fate{cut: late}
		}
		return fate{}
	})
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held, within(soon)), v1alpha1.Proven)
	close(late)
	fc.isMethod(b, v1alpha1.MethodHold, 2)
	names := fc.storage.made()
	if len(names) != 4 || len(slices.Compact(slices.Sorted(slices.Values(names)))) != 4 {
		t.Errorf("the second attempt should have names of its own: %v", names)
	}
	fc.noOrphans(b)
}

func TestADriverThatComplainsIsNotWaitedFor(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data", "log")
	late := make(chan struct{})
	fc.storage.decide(func(claim string, n int) fate {
		if claim == "data" && n == 1 {
			return fate{complaint: "the pool is full", cut: late}
		}
		return fate{}
	})
	fc.aManager()
	b := fc.aBackup(fc.held, within(time.Hour))
	failed := fc.await(b, "in its second attempt, or failed", func(b *v1alpha1.VolumeBackup) bool {
		return b.Status.Quiesce != nil && (b.Status.Quiesce.Attempt == 2 || b.Status.Quiesce.Failure != "")
	})
	if q := failed.Status.Quiesce; q.Attempt == 1 && !strings.Contains(q.Failure, "data: the pool is full") {
		t.Errorf("should say what the driver said: %s", q.Failure)
	}
	b = fc.awaitComplete(b, v1alpha1.Proven)
	fc.isMethod(b, v1alpha1.MethodHold, 2)
	close(late)
	fc.noOrphans(b)
}

func TestAHoldThatIsNotProvenIsTriedAgainAndThenFails(t *testing.T) {
	for script, says := range map[string]string{
		losesTheLock:  "without STILL_HELD",
		neverHolds:    "the lock is taken",
		endsTooEarly:  "pod mysql: hold",
		freezesSilent: "no HELD",
	} {
		t.Run(says, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.anApplication("data", "log")
			if script == endsTooEarly {
				fc.storage.decide(func(string, int) fate { return fate{never: true} })
			}
			fc.aManager()
			b := fc.awaitFailed(fc.aBackup(fc.heldBy(script), attempts(2), within(soon)), v1alpha1.ReasonQuiesceFailed, "after 2 attempt(s)")
			if says != "pod mysql: hold" && !strings.Contains(b.Status.Message, says) {
				t.Errorf("should say %q: %s", says, b.Status.Message)
			}
			if b.Status.Consistency != "" {
				t.Errorf("nothing is known of it:\n%s", describe(b))
			}
			fc.isMethod(b, v1alpha1.MethodHold, 2)
			fc.noSnapshotIsLeft()
		})
	}
}

func TestAHoldThatFailsOnceIsProvenInTheNextAttempt(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager()
	once := `if [ -e "$marks/../once-$$POD" ]; then ` + holds + `; else : >"$marks/../once-$$POD"; ` + losesTheLock + `; fi`
	once = strings.ReplaceAll(once, "$$POD", "$POD")
	fc.isMethod(fc.awaitComplete(fc.aBackup(fc.heldBy(once)), v1alpha1.Proven), v1alpha1.MethodHold, 2)
}

func TestThePostHookRunsOnEveryWayOut(t *testing.T) {
	t.Run("the pre-hook fails", func(t *testing.T) {
		fc := aFakeCluster(t)
		fc.anApplication("data")
		fc.aManager()
		fc.awaitFailed(fc.aBackup(fc.hookedBy(`echo $$ >"$mark"; echo "no space" >&2; exit 3`, `rm -f "$mark"`), attempts(1)), v1alpha1.ReasonQuiesceFailed, "no space")
		fc.happened("run pre-hook", "released")
		fc.noSnapshotWasMade()
	})
	t.Run("the pre-hook is too slow", func(t *testing.T) {
		fc := aFakeCluster(t)
		fc.anApplication("data")
		fc.aManager()
		fc.awaitFailed(fc.aBackup(fc.hookedBy(`echo $$ >"$mark"; exec tail -f /dev/null`, `rm -f "$mark"`), attempts(1), within(soon)), v1alpha1.ReasonQuiesceFailed, "was still at work and was killed")
		fc.happened("run pre-hook", "run kill", "released")
		fc.noSnapshotWasMade()
	})
	t.Run("the volumes aren't cut", func(t *testing.T) {
		fc := aFakeCluster(t)
		fc.anApplication("data")
		fc.storage.decide(func(string, int) fate { return fate{never: true} })
		fc.aManager()
		fc.awaitFailed(fc.aBackup(fc.hooked, attempts(1), within(soon)), v1alpha1.ReasonQuiesceFailed, "the volumes of data were not cut")
		fc.happened("run pre-hook", "create snapshot", "released")
		fc.noSnapshotIsLeft()
	})
	t.Run("the post-hook itself fails at first", func(t *testing.T) {
		fc := aFakeCluster(t)
		fc.anApplication("data")
		fc.aManager()
		flaky := `if [ -e "$marks/../tried" ]; then rm -f "$mark"; else : >"$marks/../tried"; echo "not yet" >&2; exit 1; fi`
		b := fc.aBackup(fc.hookedBy(`echo $$ >"$mark"`, flaky))
		fc.await(b, "Stalled, with the command that thaws", func(b *v1alpha1.VolumeBackup) bool {
			said := condition(b, v1alpha1.ConditionThawed).Message
			return ended(b) || b.Status.Quiesce != nil && b.Status.Quiesce.Attempt > 1 || strings.Contains(said, "not yet") || b.Status.Quiesce != nil && strings.Contains(b.Status.Quiesce.Failure, "not yet")
		})
		fc.isMethod(fc.awaitComplete(b, v1alpha1.Declared), v1alpha1.MethodHooks, 2)
	})
}

func TestContinueTakesACrashConsistentBackupAndSaysSo(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data", "log")
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.heldBy(neverHolds), orContinue, attempts(1)), v1alpha1.Crash)
	if !strings.Contains(b.Status.Message, "the lock is taken") {
		t.Errorf("should say why it wasn't quieted: %s", b.Status.Message)
	}
	if isTrue(b, v1alpha1.ConditionFrozen) {
		t.Errorf("nothing was frozen:\n%s", describe(b))
	}
}

// Hooks that can't be are for a person to mend, and there is a backup meanwhile.
func TestContinueTakesABackupWhereTheHooksAreWrong(t *testing.T) {
	for name, c := range map[string]struct {
		annotations map[string]string
		says        string
	}{
		"a container that isn't there": {map[string]string{v1alpha1.AnnotationHoldHook: "freeze", v1alpha1.AnnotationHookContainer: "database"}, `pod mysql has no container "database"`},
		"an unknown recipe":            {map[string]string{v1alpha1.AnnotationQuiesce: "oracle"}, `there is no recipe "oracle"`},
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			c.annotations[v1alpha1.AnnotationHookOnFailure] = string(v1alpha1.OnFailureContinue)
			b := annotatedBackup(c.annotations)(fc)
			fc.aManager()
			b = fc.awaitComplete(b, v1alpha1.Crash)
			fc.isMethod(b, v1alpha1.MethodNone, 1)
			fc.isSaid(b, c.says)
			fc.noCommandRan()
		})
	}
}

func TestAnotherApplicationThatWritesIsNotProven(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.runs("neighbour", template("data"), nil)
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Crash)
	if !strings.Contains(b.Status.Message, "pod neighbour, of another application, writes to the volumes") {
		t.Errorf("should name the neighbour: %s", b.Status.Message)
	}
}

func TestAPodThatComesDuringTheFreezeIsNotProven(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	cut := fc.storage.holdFirstCuts()
	fc.aManager()
	b := fc.aBackup(fc.held, attempts(1))
	fc.eventually("a snapshot is asked for", func() bool { return len(fc.storage.made()) == 1 })
	fc.runs("late", template("data"), nil)
	close(cut)
	fc.awaitFailed(b, v1alpha1.ReasonQuiesceFailed, "another pod began to use the volumes")
	fc.noSnapshotIsLeft()
}

func TestAQuietedPodThatGoesIsNoMatter(t *testing.T) {
	fc := aFakeCluster(t)
	pod := fc.anApplication("data")
	cut := make(chan struct{})
	fc.storage.decide(func(string, int) fate { return fate{cut: cut} })
	fc.aManager()
	b := fc.aBackup(fc.held)
	fc.eventually("a snapshot is asked for", func() bool { return len(fc.storage.made()) == 1 })
	fc.delete(pod)
	close(cut)
	fc.awaitComplete(b, v1alpha1.Proven)
}

func (fc *fakeCluster) isMethod(b *v1alpha1.VolumeBackup, method v1alpha1.QuiesceMethod, attempt int32) {
	fc.Helper()
	if q := b.Status.Quiesce; q.Method != method || q.Attempt != attempt {
		fc.Errorf("should be %s in attempt %d:\n%s", method, attempt, describe(b))
	}
}

// happened: these began, in this order.
func (fc *fakeCluster) happened(prefixes ...string) {
	fc.Helper()
	entries := fc.journal.entries()
	for _, prefix := range prefixes {
		at := slices.IndexFunc(entries, func(e string) bool { return strings.HasPrefix(e, prefix) })
		if at < 0 {
			fc.Errorf("%q did not happen in its turn", prefix)
			return
		}
		entries = entries[at+1:]
	}
}

// isAllBefore: the last of the one came before the first of the other.
func (fc *fakeCluster) isAllBefore(one, other string) {
	fc.Helper()
	ones, others := fc.journal.positions(one), fc.journal.positions(other)
	if len(ones) == 0 || len(others) == 0 || ones[len(ones)-1] > others[0] {
		fc.Errorf("all %q should come before any %q", one, other)
	}
}

func (fc *fakeCluster) noSnapshotIsLeft() {
	fc.Helper()
	fc.eventually("no snapshot is left", func() bool { return len(fc.snapshots()) == 0 })
}
