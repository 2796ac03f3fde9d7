package integration

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// A post-hook may fail for as long as its container takes to come back.
func TestAPostHookThatFailsIsRunAgainEverLater(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager()
	b := fc.aBackup(fc.hookedBy(`: >"$mark"`, `if [ -e "$marks/../mended" ]; then rm -f "$mark"; else echo "not yet" >&2; exit 1; fi`), attempts(1))
	tried := map[int32]time.Time{}
	b = fc.await(b, "in its fourth round, or at its end", func(b *v1alpha1.VolumeBackup) bool {
		q := b.Status.Quiesce
		if q == nil || q.Failure == "" {
			return ended(b)
		}
		if said := condition(b, v1alpha1.ConditionThawed); said.Reason != v1alpha1.ReasonThawFailed || !strings.Contains(said.Message, "kubectl exec") {
			t.Errorf("should say that it may be frozen, and how to thaw it:\n%s", describe(b))
		}
		if q.ThawTriedAt != nil {
			tried[q.ThawAttempts] = q.ThawTriedAt.Time
		}
		return ended(b) || q.ThawAttempts == 4
	})
	for n := int32(2); n <= 4; n++ {
		if gap := tried[n].Sub(tried[n-1]); gap < attemptDelay(n-1) {
			t.Errorf("round %d came %s after the one before:\n%s", n, gap, describe(b))
		}
	}
	fc.touch("mended")
	b = fc.awaitFailed(b, v1alpha1.ReasonQuiesceFailed, "not yet")
	if q := b.Status.Quiesce; q.FrozenFor == nil || q.FrozenFor.Duration < q.ThawedAt.Sub(q.FrozenAt.Time).Truncate(time.Millisecond) || !isTrue(b, v1alpha1.ConditionThawed) {
		t.Errorf("it was frozen until the post-hook succeeded:\n%s", describe(b))
	}
}

// Whoever comes after a crash, or a failure, gives the post-hook the time that
// was asked for.
func TestAPostHooksLimitIsThatOfEachRound(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	command := func(script string) string {
		text, err := json.Marshal(fc.command(`mark="$marks/$POD.hooks"; ` + script))
		fc.must(err)
		return string(text)
	}
	fc.runs("db", annotated(map[string]string{
		"pre.hook.backup.velero.io/command":  command(`: pre; : >"$mark"`),
		"post.hook.backup.velero.io/command": command(`: post; [ -e "$marks/../mended" ] || exec tail -f /dev/null; rm -f "$mark"`),
		"post.hook.backup.velero.io/timeout": "5s",
	}, "data"), nil)
	fc.aManager()
	b := fc.await(fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data"), "in its second round, or at its end", func(b *v1alpha1.VolumeBackup) bool {
		return ended(b) || b.Status.Quiesce != nil && b.Status.Quiesce.ThawAttempts == 2
	})
	fc.touch("mended")
	const says = "it did not end within 5s"
	if q := b.Status.Quiesce; q.Pods[0].PostTimeout == nil || !strings.Contains(q.Failure, says) || !strings.Contains(condition(b, v1alpha1.ConditionThawed).Message, says) {
		t.Errorf("each round should say that %s:\n%s", says, describe(b))
	}
	fc.isMethod(fc.awaitComplete(b, v1alpha1.Declared), v1alpha1.MethodHooks, 2)
}

// Pods that only share a claim are of different applications, as far as anybody
// knows.
func TestAPodStandsOnlyForPodsOfItsOwnApplication(t *testing.T) {
	for name, c := range map[string]struct {
		pods v1alpha1.PodSelection
		says string
	}{
		"all": {v1alpha1.PodsAll, "pod other writes to the volumes and was not quieted"},
		"one": {v1alpha1.PodsOne, "writes to the volumes and was not quieted"},
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.claims("data")
			hold := fc.command(`trap '' PIPE HUP; mark="$marks/$POD.$$"; ` + holds)
			fc.runs("db", annotated(map[string]string{v1alpha1.AnnotationHoldHook: hold[2]}, "data"), nil)
			fc.runs("other", template("data"), nil)
			fc.aManager()
			b := fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data", func(s *v1alpha1.VolumeBackupSpec) {
				s.Quiesce = &v1alpha1.QuiesceSpec{Pods: c.pods}
				if c.pods == v1alpha1.PodsOne {
					fc.held(s)
				}
			})
			if b = fc.awaitComplete(b, v1alpha1.Crash); !strings.Contains(b.Status.Message, c.says) {
				t.Errorf("should say %q: %s", c.says, b.Status.Message)
			}
		})
	}
}

// What a pre-hook froze goes with its container, which may be another than the
// post-hook's.
func TestAContainerThatIsStartedAnewWasNotQuiet(t *testing.T) {
	for i, name := range []string{"db", "side"} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.claims("data")
			of := template("data")
			of.Spec.Containers = append(of.Spec.Containers, corev1.Container{Name: "side", Image: "side"})
			pod := fc.runs("mysql", of, nil)
			cut := fc.storage.holdFirstCuts()
			fc.aManager()
			b := fc.aBackup(fc.hooked, func(s *v1alpha1.VolumeBackupSpec) { s.Quiesce.Pre.Container = "side" })
			fc.eventually("a snapshot is asked for", func() bool { return len(fc.storage.made()) == 1 })
			pod.Status.ContainerStatuses[i].ContainerID = "containerd://another"
			fc.must(admin.Status().Update(fc.ctx, pod))
			close(cut)
			failed := fc.await(b, "given up once, or at its end", func(b *v1alpha1.VolumeBackup) bool {
				return ended(b) || b.Status.Quiesce != nil && b.Status.Quiesce.Failure != ""
			})
			if q := failed.Status.Quiesce; !strings.Contains(q.Failure, "container "+name+" of pod mysql was started anew") {
				t.Errorf("should say why: %q", q.Failure)
			}
			fc.isMethod(fc.awaitComplete(b, v1alpha1.Declared), v1alpha1.MethodHooks, 2)
		})
	}
}

// The kinds of other groups have names as ours.
func TestAnOwnerOfAnotherGroupIsNotLookedFor(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	hold := fc.command(`trap '' PIPE HUP; mark="$marks/$POD.$$"; ` + holds)
	pod := fc.runs("db-0", annotated(map[string]string{v1alpha1.AnnotationHoldHook: hold[2]}, "data"), nil)
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps.example.com/v1beta1", Kind: "StatefulSet", Name: "db", UID: pod.UID, Controller: ptr.To(true),
	}}
	fc.must(admin.Update(fc.ctx, pod))
	fc.aManager()
	fc.awaitComplete(fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data"), v1alpha1.Proven)
}

// An object with too much to say could not be written at all.
func TestAMessageHasItsBounds(t *testing.T) {
	fc := aFakeCluster(t)
	many := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "a-database-with-a-rather-long-name"},
		Spec: appsv1.StatefulSetSpec{
			Replicas: ptr.To[int32](1000), Selector: &metav1.LabelSelector{MatchLabels: appLabels()}, Template: template(),
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{*fc.newClaim("what-it-keeps")},
		},
	}
	fc.create(many)
	fc.aManager()
	b := fc.aBackupOf(v1alpha1.KindStatefulSet, many.Name, fc.held, func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Include = []string{"typo"} })
	fc.awaitFailed(b, v1alpha1.ReasonClaimNotFound, `spec.volumes names claim "typo"`, "and 990 others")
}

func TestAFinishedPodIsNotCalledMissing(t *testing.T) {
	fc := aFakeCluster(t)
	pod := fc.anApplication("data")
	pod.Status.Phase = corev1.PodSucceeded
	fc.must(admin.Status().Update(fc.ctx, pod))
	fc.aManager()
	fc.awaitFailed(fc.aBackup(fc.held), v1alpha1.ReasonPodNotRunning, "pod mysql", "has finished", "kind PersistentVolumeClaim")
}

func TestAClaimThatIsBeingDeletedIsNotFrozenFor(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.patchClaim("data", func(c *corev1.PersistentVolumeClaim) { c.Finalizers = []string{"kubernetes.io/pvc-protection"} })
	fc.delete(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: fc.namespace, Name: "data"}})
	fc.aManager()
	fc.awaitFailed(fc.aBackup(fc.held), v1alpha1.ReasonClaimNotFound, `PersistentVolumeClaim "data" is being deleted`)
	fc.noCommandRan()
	fc.patchClaim("data", func(c *corev1.PersistentVolumeClaim) { c.Finalizers = nil })
}
