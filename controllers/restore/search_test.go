package restore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
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

// action is what somebody else does, once.
type action struct {
	name string
	do   func(*world, *v1alpha1.VolumeRestore)
	// destroys: the previous data, or the restored, is gone by it.
	destroys bool
	// owns: its owner has changed the application by it: whatever it comes to is
	// theirs, as long as the restore leaves nothing stopped.
	owns bool
}

// previous and renewed are the first claim of a restore on either side.
func previous(w *world, v *v1alpha1.VolumeRestore) string {
	if len(v.Status.Claims) > 0 {
		return v.Status.Claims[0].PreviousClaim
	}
	return map[v1alpha1.ApplicationKind]string{v1alpha1.KindDeployment: "data", v1alpha1.KindStatefulSet: "data-db-0"}[w.kind]
}

func renewed(_ *world, v *v1alpha1.VolumeRestore) string {
	if len(v.Status.Claims) == 0 {
		return ""
	}
	if c := &v.Status.Claims[0]; v.Status.ScaledDownAt == nil {
		return restore.NewClaimName(c)
	}
	return v.Status.Claims[0].RestoredClaim
}

const forever = 1e6 * time.Second

var actions = slices.Concat(
	onEach("delete claim", false, func(w *world, name string) { w.deleteClaim(name) }),
	onEach("make anew claim", false, func(w *world, name string) {
		if w.claim(name) != nil {
			w.deleteClaim(name)
			w.remade[name] = true
		}
	}),
	onEach("delete the volume of claim", true, func(w *world, name string) {
		if c := w.claim(name); c != nil && c.Spec.VolumeName != "" {
			w.must(w.Delete(context.Background(), &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: c.Spec.VolumeName}}))
		}
	}),
	onEach("hold for ever claim", false, func(w *world, name string) { w.hold(w.claim(name), forever) }),
	onEach("hold a while claim", false, func(w *world, name string) { w.hold(w.claim(name), 20*time.Second) }),
	onEach("mount for ever claim", false, func(w *world, name string) { w.job("job", name, forever, true) }),
	onEach("mount a while claim", false, func(w *world, name string) { w.job("job", name, 20*time.Second, true) }),
	onEach("mount once claim", false, func(w *world, name string) { w.job("job-done", name, forever, true) }),
	onEach("want to mount claim", false, func(w *world, name string) { w.job("job", name, forever, false) }),
	[]action{
		{name: "hold a pod for ever", do: func(w *world, _ *v1alpha1.VolumeRestore) { w.holdPod(forever) }},
		{name: "hold a pod a while", do: func(w *world, _ *v1alpha1.VolumeRestore) { w.holdPod(20 * time.Second) }},
		{name: "delete a pod", do: func(w *world, _ *v1alpha1.VolumeRestore) {
			for _, p := range w.own() {
				w.must(w.Delete(context.Background(), &p))
				break
			}
		}},
		{name: "scale to zero", owns: true, do: func(w *world, _ *v1alpha1.VolumeRestore) { w.scaleTo(0) }},
		{name: "scale to one", do: func(w *world, _ *v1alpha1.VolumeRestore) { w.scaleTo(1) }},
		{name: "scale to two", do: func(w *world, _ *v1alpha1.VolumeRestore) { w.scaleTo(2) }},
		{name: "rename the volume in the template", do: func(w *world, _ *v1alpha1.VolumeRestore) {
			w.edit(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Volumes[0].Name = "renamed" })
		}},
		{name: "change an annotation", do: func(w *world, _ *v1alpha1.VolumeRestore) {
			w.edit(func(d *appsv1.Deployment) { d.Annotations = map[string]string{"a": "b"} })
		}},
		{name: "point the template back", owns: true, do: func(w *world, v *v1alpha1.VolumeRestore) {
			w.edit(func(d *appsv1.Deployment) {
				workload.Repoint(&d.Spec.Template, map[string]string{"data": previous(w, v)})
			})
		}},
		{name: "pause", do: func(w *world, _ *v1alpha1.VolumeRestore) {
			w.edit(func(d *appsv1.Deployment) { d.Spec.Paused = true })
		}},
		{name: "delete the application", owns: true, do: func(w *world, _ *v1alpha1.VolumeRestore) { w.deleteWorkload() }},
		{name: "ask for the way back", do: func(w *world, v *v1alpha1.VolumeRestore) { w.ask(v) }},
		{name: "delete the restore", do: func(w *world, v *v1alpha1.VolumeRestore) { w.must(w.Delete(context.Background(), v)) }},
	},
)

// onEach is an action on the first claim of each side.
func onEach(name string, destroys bool, do func(*world, string)) []action {
	return []action{
		{name: name + " previous", destroys: destroys, do: func(w *world, v *v1alpha1.VolumeRestore) { do(w, previous(w, v)) }},
		{name: name + " restored", destroys: destroys, do: func(w *world, v *v1alpha1.VolumeRestore) { do(w, renewed(w, v)) }},
	}
}

func (w *world) deleteClaim(name string) {
	if c := w.claim(name); c != nil {
		w.must(w.Delete(context.Background(), c))
	}
}

func (w *world) hold(obj client.Object, d time.Duration) {
	switch o := obj.(type) {
	case *corev1.PersistentVolumeClaim:
		if o == nil || !o.DeletionTimestamp.IsZero() { // the API server takes no new finalizer then
			return
		}
	}
	w.setFinalizers(obj, foreign, true)
	w.until["held/"+obj.GetName()] = w.clock.Now().Add(d)
}

func (w *world) holdPod(d time.Duration) {
	for _, p := range w.own() {
		if p.DeletionTimestamp.IsZero() {
			w.hold(&p, d)
			return
		}
	}
}

// job is a pod of another application. One that is on its node was scheduled
// before anybody could see it.
func (w *world) job(name, claim string, d time.Duration, onNode bool) {
	c := w.claim(claim)
	if c == nil || !c.DeletionTimestamp.IsZero() {
		return
	}
	w.newPod(name, "", claim)
	w.until["pod/"+name] = w.clock.Now().Add(d)
	p := &corev1.Pod{}
	w.must(w.Get(context.Background(), client.ObjectKey{Namespace: shop, Name: name}, p))
	if onNode {
		p.Spec.NodeName, p.Finalizers = "node", []string{kubeletHas}
	} else {
		p.Labels = map[string]string{"waits": "for a node"}
	}
	w.must(w.Update(context.Background(), p))
}

func (w *world) scaleTo(n int32) {
	w.edit(func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To(min(n, 1)) })
	s := &appsv1.StatefulSet{}
	if w.Get(context.Background(), client.ObjectKey{Namespace: shop, Name: "db"}, s) == nil {
		s.Spec.Replicas = &n
		w.must(w.Update(context.Background(), s))
	}
}

func (w *world) edit(change func(*appsv1.Deployment)) {
	d := &appsv1.Deployment{}
	if w.Get(context.Background(), client.ObjectKey{Namespace: shop, Name: "db"}, d) == nil {
		change(d)
		w.must(w.Update(context.Background(), d))
	}
}

func (w *world) deleteWorkload() {
	for _, obj := range []client.Object{&appsv1.Deployment{}, &appsv1.StatefulSet{}} {
		obj.SetNamespace(shop)
		obj.SetName("db")
		w.must(w.Delete(context.Background(), obj))
	}
	for _, p := range w.own() {
		w.must(w.Delete(context.Background(), &p))
	}
}

func (w *world) ask(v *v1alpha1.VolumeRestore) {
	v.Spec.RollBack = true
	w.must(w.Update(context.Background(), v))
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
	if w.isRunning() || owned && w.isStopped() {
		return ""
	}
	if v != nil && !strings.Contains(v.Status.Message, "kubectl ") && v.Status.ScaledDownAt != nil {
		return "the application doesn't run, and nobody is told what to do: " + w.state() + state
	}
	w.lift()
	if v = w.work(manager, false); w.isRunning() || owned && w.isStopped() || destroyed && v != nil && v.Status.Phase == v1alpha1.RestoreFailed {
		return ""
	}
	return "the application doesn't run though nothing stands in the way any more: " + w.state() + state
}

// lift has others let go of what they hold, and a person delete what the
// restore's message names.
func (w *world) lift() {
	w.lifted = true
	v := &v1alpha1.VolumeRestore{}
	if w.Get(context.Background(), client.ObjectKey{Namespace: shop, Name: "r"}, v) == nil {
		for _, c := range w.claims() {
			if strings.Contains(v.Status.Message, "kubectl delete pvc -n shop "+c.Name) {
				w.deleteClaim(c.Name)
			}
		}
	}
	for _, p := range w.pods() {
		if strings.HasPrefix(p.Name, "job") {
			w.must(w.Delete(context.Background(), &p))
		}
	}
	for range 5 {
		w.tick()
	}
}

// lost says which previous volume is gone that nobody has let go.
func (w *world) lost(s scenario, v *v1alpha1.VolumeRestore, acts []act) string {
	letGo := slices.ContainsFunc(acts, func(a act) bool {
		return strings.Contains(a.action, "volume of claim") || strings.Contains(a.action, "delete claim previous") || strings.Contains(a.action, "make anew claim previous")
	})
	probe := aRestore(s.change)
	isDeleted := probe.Spec.PreviousClaims == v1alpha1.PreviousDelete && v != nil && v.Status.Phase == v1alpha1.RestoreCompleted
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
		text += fmt.Sprintf("; pod %s %s on %v going: %t", p.Name, p.Status.Phase, workload.ClaimsOf(&p.Spec), !p.DeletionTimestamp.IsZero())
	}
	for _, c := range w.claims() {
		text += fmt.Sprintf("; claim %s %s %s going: %t %v", c.Name, c.Status.Phase, c.Spec.VolumeName, !c.DeletionTimestamp.IsZero(), c.Finalizers)
	}
	return text + "] "
}

// TestNobodyIsLeftWorseOff plays every scenario with every action at every
// moment.
func TestNobodyIsLeftWorseOff(t *testing.T) {
	var played atomic.Int64
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			wrong, moments := play(t, s, nil)
			if wrong != "" {
				t.Fatalf("with nobody in the way: %s", wrong)
			}
			for _, moment := range moments {
				for _, a := range actions {
					acts := []act{{moment, a.name}}
					if wrong, _ := play(t, s, acts); wrong != "" {
						t.Errorf("%v: %s", acts, wrong)
					}
					played.Add(1)
				}
			}
		})
	}
	t.Cleanup(func() { t.Logf("played %d restores", played.Load()) })
}

// pairsPlayed is how many pairs of actions are played of each scenario.
const pairsPlayed = 150

// TestNobodyIsLeftWorseOffByTwo plays every scenario with pairs of actions, which
// are the same each time, and shortens what is wrong.
func TestNobodyIsLeftWorseOffByTwo(t *testing.T) {
	for i, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			_, moments := play(t, s, nil)
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for range pairsPlayed {
				var acts []act
				for range 2 {
					acts = append(acts, act{moments[random.IntN(len(moments))], actions[random.IntN(len(actions))].name})
				}
				if wrong, _ := play(t, s, acts); wrong != "" {
					acts, wrong = shortened(t, s, acts, wrong)
					t.Errorf("%v: %s", acts, wrong)
				}
			}
		})
	}
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
