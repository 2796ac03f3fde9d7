package restore

import (
	"context"
	"slices"
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
		{name: "refuse to delete claims", do: func(w *world, _ *v1alpha1.VolumeRestore) { w.refuse(deletesClaim) }},
		{name: "refuse to delete claims, also to dry runs", do: func(w *world, _ *v1alpha1.VolumeRestore) {
			w.deniesDryRuns = true
			w.refuse(deletesClaim)
		}},
		{name: "scale up each time", do: func(w *world, _ *v1alpha1.VolumeRestore) { w.fights = true }},
		{name: "pause", do: func(w *world, _ *v1alpha1.VolumeRestore) {
			w.edit(func(d *appsv1.Deployment) { d.Spec.Paused = true })
		}},
		{name: "delete the application", owns: true, do: func(w *world, _ *v1alpha1.VolumeRestore) { w.deleteWorkload() }},
		{name: "ask for the way back", do: func(w *world, v *v1alpha1.VolumeRestore) { w.ask(v) }},
		{name: "strip the finalizers of the restore", do: func(w *world, v *v1alpha1.VolumeRestore) { w.strip(v) }},
		{name: "strip the claims", do: func(w *world, _ *v1alpha1.VolumeRestore) {
			for _, c := range w.claims() {
				w.strip(&c)
			}
		}},
		{name: "strip the volumes", do: func(w *world, _ *v1alpha1.VolumeRestore) {
			var all corev1.PersistentVolumeList
			w.must(w.List(context.Background(), &all))
			for i := range all.Items {
				w.strip(&all.Items[i])
			}
		}},
		{name: "strip the application", do: func(w *world, _ *v1alpha1.VolumeRestore) {
			for _, obj := range []client.Object{&appsv1.Deployment{}, &appsv1.StatefulSet{}} {
				if w.Get(context.Background(), client.ObjectKey{Namespace: shop, Name: "db"}, obj) == nil {
					w.strip(obj)
				}
			}
		}},
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

// strip takes from an object what others have put on it: labels, annotations, owners and,
// of ours, finalizers. Those of Kubernetes stand for what it still does.
func (w *world) strip(obj client.Object) {
	obj.SetLabels(nil)
	obj.SetAnnotations(nil)
	obj.SetOwnerReferences(nil)
	obj.SetFinalizers(slices.DeleteFunc(obj.GetFinalizers(), func(f string) bool { return f == v1alpha1.FinalizerVolumeRestore }))
	w.must(w.Update(context.Background(), obj))
}

func (w *world) deleteClaim(name string) {
	if c := w.claim(name); c != nil {
		w.must(w.Delete(context.Background(), c))
	}
}

func (w *world) hold(obj client.Object, d time.Duration) {
	if claim, ok := obj.(*corev1.PersistentVolumeClaim); ok && (claim == nil || !claim.DeletionTimestamp.IsZero()) {
		return // the API server takes no new finalizer then
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
	isThere := slices.ContainsFunc(w.pods(), func(p corev1.Pod) bool { return p.Name == name })
	if c == nil || !c.DeletionTimestamp.IsZero() || isThere {
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

func (w *world) statefulSet() *appsv1.StatefulSet {
	s := &appsv1.StatefulSet{}
	w.must(w.Get(context.Background(), client.ObjectKey{Namespace: shop, Name: "db"}, s))
	return s
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

// askAnew asks for the way back as one does that was asked for before.
func (w *world) askAnew(v *v1alpha1.VolumeRestore) {
	v.Spec.RollBack = false
	w.must(w.Update(context.Background(), v))
	w.ask(v)
}

func (w *world) ask(v *v1alpha1.VolumeRestore) {
	v.Spec.RollBack = true
	w.must(w.Update(context.Background(), v))
}
