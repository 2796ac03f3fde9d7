package restore

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/restore"
	"github.com/lull-dev/lull/snapshot/workload"
)

// scenario is a restore that others get in the way of.
type scenario struct {
	name     string
	kind     v1alpha1.ApplicationKind
	replicas int32
	change   func(*v1alpha1.VolumeRestore)
	// broken: the restored data never gets ready; sick: the previous never does.
	broken, sick bool
	// undo: it is undone as asked once it is complete.
	undo bool
}

// ends is how it ends with nobody in the way.
func (s scenario) ends() v1alpha1.RestorePhase {
	switch {
	case s.broken && aRestore(s.change).Spec.OnFailure == v1alpha1.RestoreLeave:
		return v1alpha1.RestoreFailed
	case s.broken || s.undo:
		return v1alpha1.RestoreRolledBack
	}
	return v1alpha1.RestoreCompleted
}

func byReplace(v *v1alpha1.VolumeRestore) { v.Spec.Target.Strategy = v1alpha1.StrategyReplace }

func deletesPrevious(v *v1alpha1.VolumeRestore) { v.Spec.PreviousClaims = v1alpha1.PreviousDelete }

func leaves(v *v1alpha1.VolumeRestore) { v.Spec.OnFailure = v1alpha1.RestoreLeave }

var scenarios = []scenario{
	{name: "repointed", kind: v1alpha1.KindDeployment, replicas: 1},
	{name: "repointed, not ready", kind: v1alpha1.KindDeployment, replicas: 1, broken: true},
	{name: "repointed, undone", kind: v1alpha1.KindDeployment, replicas: 1, undo: true},
	{name: "repointed, previous claims deleted", kind: v1alpha1.KindDeployment, replicas: 1, change: deletesPrevious},
	{name: "repointed, left where it fails", kind: v1alpha1.KindDeployment, replicas: 1, change: leaves, broken: true},
	{name: "a Deployment replaced, undone", kind: v1alpha1.KindDeployment, replicas: 1, change: byReplace, undo: true},
	{name: "replaced", kind: v1alpha1.KindStatefulSet, replicas: 2},
	{name: "replaced, not ready", kind: v1alpha1.KindStatefulSet, replicas: 2, broken: true},
	{name: "replaced, undone", kind: v1alpha1.KindStatefulSet, replicas: 2, undo: true},
	{name: "replaced, it wasn't ready", kind: v1alpha1.KindStatefulSet, replicas: 3, sick: true},
	{name: "replaced, left where it fails", kind: v1alpha1.KindStatefulSet, replicas: 1, change: leaves, broken: true},
}

// act is an action right before a write of the manager.
type act struct{ moment, action string }

func actionOf(name string) action {
	return actions[slices.IndexFunc(actions, func(a action) bool { return a.name == name })]
}

// play plays a scenario with what others do, and says what is wrong with how it
// ended, empty for nothing; and at which moments something can be done.
func play(t *testing.T, s scenario, acts []act) (wrong string, moments []string) {
	w := newWorld(t, s.kind, s.replicas)
	w.broken, w.sick = s.broken, s.sick
	w.must(w.Create(context.Background(), aRestore(s.change)))
	count := map[string]int{}
	w.beforeWrite = func(verb string, obj client.Object) {
		name := fmt.Sprintf("%s %s %s", verb, kindName(obj), obj.GetName())
		count[name]++
		moment := fmt.Sprintf("%s %d", name, count[name])
		moments = append(moments, moment)
		for _, a := range acts {
			if a.moment == moment {
				v := &v1alpha1.VolumeRestore{}
				if w.Get(context.Background(), client.ObjectKey{Namespace: shop, Name: "r"}, v) == nil {
					actionOf(a.action).do(w, v)
					w.tick()
				}
			}
		}
	}
	manager := w.manager()
	v := w.work(manager, true)
	if s.undo && v != nil && v.Status.Phase == v1alpha1.RestoreCompleted && !v.Spec.RollBack {
		w.ask(v)
		v = w.work(manager, true)
	}
	return w.judge(manager, s, v, acts), moments
}

// judge says what is wrong with how a restore ended. The application runs; or
// was never stopped; or a person is told what to do, and once that is done it
// runs without more.
func (w *world) judge(manager *Reconciler, s scenario, v *v1alpha1.VolumeRestore, acts []act) string {
	has := func(which func(action) bool) bool {
		return slices.ContainsFunc(acts, func(a act) bool { return which(actionOf(a.action)) })
	}
	destroyed := has(func(a action) bool { return a.destroys })
	owned := has(func(a action) bool { return a.owns })
	state := ""
	if v != nil {
		state = fmt.Sprintf("%s at %s: %s", v.Status.Phase, v.Status.Step, v.Status.Message)
		if !restore.Ended(v) && !isToldFailed(v) {
			return "it has no end: " + state
		}
	}
	if wrong := w.lost(s, v, acts); wrong != "" {
		return wrong + "; " + state
	}
	if len(acts) == 0 && v.Status.Phase != s.ends() {
		return fmt.Sprintf("it should end %s: %s", s.ends(), state)
	}
	isOwners := func() bool { // it may be only when all is done that is told
		return owned && (w.isStopped() || aRestore(s.change).Spec.PreviousClaims == v1alpha1.PreviousDelete)
	}
	if w.isRunning() || isOwners() { // one that is led to what its owner has let go is its owner's
		return ""
	}
	for range 4 { // once one thing is out of the way another may be in it
		if !w.lift() {
			break
		}
		if v = w.work(manager, false); w.isRunning() || isOwners() {
			return ""
		}
	}
	if destroyed && v != nil && v.Status.Phase == v1alpha1.RestoreFailed {
		return ""
	}
	return fmt.Sprintf("the application doesn't run though all is done that was told; in its way: %v: %s%s", slices.Sorted(maps.Keys(w.until)), w.state(), state)
}

// lift has a person do what the restore's message says, and nothing else. It is
// false where it says nothing that can be done.
func (w *world) lift() (done bool) {
	v := w.theRestore()
	if v == nil { // deleted by its owner: nobody is left to say anything, and what others hold goes some day
		return w.letAllGo()
	}
	says := v.Status.Message
	for key := range w.until {
		kind, name, _ := strings.Cut(key, "/")
		commands := map[string][]string{"pod": {"delete pod"}, "held": {"edit pvc", "describe pod"}}[kind]
		if slices.ContainsFunc(commands, func(command string) bool { return isTold(says, command, name) }) {
			w.letGo(key)
			done = true
		}
	}
	for _, c := range w.claims() {
		if isTold(says, "delete pvc", c.Name) {
			w.deleteClaim(c.Name)
			done = true
		}
	}
	if told := labelsVolume.FindStringSubmatch(says); told != nil {
		for _, name := range strings.Fields(told[1]) {
			pv := w.volume(name)
			metav1.SetMetaDataLabel(&pv.ObjectMeta, v1alpha1.LabelRestoreUID, told[2])
			w.must(w.Update(context.Background(), pv))
			done = true
		}
	}
	if w.fights && strings.Contains(says, "pause what does that meanwhile") {
		w.fights, done = false, true
	}
	if w.denies != nil && strings.Contains(says, "freeze-friday") {
		w.denies, done = nil, true
	}
	if strings.Contains(says, `{"rollBack":true}`) || restore.Ended(v) && strings.Contains(says, "spec.rollBack: false, then true") {
		w.askAnew(v)
		done = true
	}
	for range 5 {
		w.tick()
	}
	return done
}

// labelsVolume is what a restore says of volumes that it can't tell for its own.
var labelsVolume = regexp.MustCompile(`kubectl label pv (.+) ` + regexp.QuoteMeta(v1alpha1.LabelRestoreUID) + `=(\S+) --overwrite`)

func (w *world) letAllGo() bool {
	wasHeld := len(w.until) > 0
	for key := range w.until {
		w.letGo(key)
	}
	for range 5 {
		w.tick()
	}
	return wasHeld
}

// isTold is true where a message has that command for that object.
func isTold(says, command, name string) bool {
	return regexp.MustCompile("kubectl " + command + " -n shop " + regexp.QuoteMeta(name) + `\b($|[^-])`).MatchString(says)
}

// lost says which previous volume is gone that nobody has let go.
func (w *world) lost(s scenario, v *v1alpha1.VolumeRestore, acts []act) string {
	letGo := slices.ContainsFunc(acts, func(a act) bool {
		return strings.Contains(a.action, "volume of claim") || strings.Contains(a.action, "delete claim previous") || strings.Contains(a.action, "make anew claim previous")
	})
	probe := aRestore(s.change)
	isDeleted := probe.Spec.PreviousClaims == v1alpha1.PreviousDelete && (v == nil || v.Status.ScaledUpAt != nil)
	if letGo || isDeleted || w.volume("pv-old") != nil {
		return ""
	}
	return "the previous volume is lost"
}

func (w *world) workloadReplicas() (n int32, there bool) {
	d, s := &appsv1.Deployment{}, &appsv1.StatefulSet{}
	key := client.ObjectKey{Namespace: shop, Name: "db"}
	if w.Get(context.Background(), key, d) == nil {
		return *d.Spec.Replicas, true
	}
	if w.Get(context.Background(), key, s) == nil {
		return *s.Spec.Replicas, true
	}
	return 0, false
}

// isStopped is true for an application without replicas, or that is gone.
func (w *world) isStopped() bool {
	n, _ := w.workloadReplicas()
	return n == 0
}

// isRunning is true where each replica runs on claims that are bound; an ordered
// set whose first isn't ready has no more.
func (w *world) isRunning() bool {
	n, there := w.workloadReplicas()
	if !there || n == 0 {
		return false
	}
	running, ready := int32(0), true
	for _, p := range w.own() {
		if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp.IsZero() {
			running++
			ready = ready && workload.IsReady(&p)
		}
	}
	return running >= n || running > 0 && !ready
}

func (w *world) state() string {
	n, there := w.workloadReplicas()
	text := fmt.Sprintf("[there: %t, replicas: %d", there, n)
	for _, p := range w.pods() {
		text += fmt.Sprintf("; pod %s %s on %v going: %t", p.Name, p.Status.Phase, workload.ClaimsOf(&p), !p.DeletionTimestamp.IsZero())
	}
	for _, c := range w.claims() {
		text += fmt.Sprintf("; claim %s %s %s going: %t %v", c.Name, c.Status.Phase, c.Spec.VolumeName, !c.DeletionTimestamp.IsZero(), c.Finalizers)
	}
	return text + "] "
}

// TestNobodyIsLeftWorseOff plays a part of what TestNobodyIsEverLeftWorseOff
// does, the same each time.
func TestNobodyIsLeftWorseOff(t *testing.T) { search(t, 25, 8) }

// TestNobodyIsEverLeftWorseOff plays each scenario with thousands of actions at
// any moment, and with pairs of them.
func TestNobodyIsEverLeftWorseOff(t *testing.T) { search(t, 6, 30) }

// search plays each scenario with one of so many actions at a moment, and with
// so many pairs. What is wrong is shortened to what it takes.
func search(t *testing.T, oneOf, pairs int) {
	var played atomic.Int64
	for i, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			wrong, moments := play(t, s, nil)
			if wrong != "" {
				t.Fatalf("with nobody in the way: %s", wrong)
			}
			slices.Sort(moments) // what is written side by side is so in any order
			for _, acts := range plays(moments, uint64(i), oneOf, pairs) {
				if wrong, _ := play(t, s, acts); wrong != "" {
					acts, wrong = shortened(t, s, acts, wrong)
					t.Errorf("%v: %s", acts, wrong)
				}
				played.Add(1)
			}
		})
	}
	t.Cleanup(func() { t.Logf("played %d restores", played.Load()) })
}

func plays(moments []string, seed uint64, oneOf, pairs int) (all [][]act) {
	random := rand.New(rand.NewPCG(1, seed))
	for _, moment := range moments {
		for _, a := range actions {
			if random.IntN(oneOf) == 0 {
				all = append(all, []act{{moment, a.name}})
			}
		}
	}
	one := func() act { return act{moments[random.IntN(len(moments))], actions[random.IntN(len(actions))].name} }
	for range pairs {
		all = append(all, []act{one(), one()})
	}
	return all
}

// shortened leaves out each act that isn't needed for something to be wrong.
func shortened(t *testing.T, s scenario, acts []act, wrong string) ([]act, string) {
	for i := 0; i < len(acts) && len(acts) > 1; i++ {
		fewer := slices.Delete(slices.Clone(acts), i, i+1)
		if still, _ := play(t, s, fewer); still != "" {
			return shortened(t, s, fewer, still)
		}
	}
	return acts, wrong
}
