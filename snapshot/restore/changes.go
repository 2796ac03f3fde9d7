package restore

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// Verb is what a change does.
type Verb string

// The verbs.
const (
	// Create makes an object. One of that name that is there already is no
	// failure: the next look tells whose it is.
	Create Verb = "create"
	// Patch changes an object. One that is gone is no failure.
	Patch Verb = "patch"
	// Delete deletes the object that was read, by its UID, and no other of its
	// name. One that is gone is no failure.
	Delete Verb = "delete"
)

// Guard is what a patch is refused by where somebody was faster.
type Guard int

const (
	// Unguarded patches are right whatever else has changed.
	Unguarded Guard = iota
	// SameVersion refuses where anything of the object has changed since it was
	// read.
	SameVersion
	// SameGeneration refuses where another object has the name, or what this one
	// is told has changed since it was read. Its resourceVersion also changes
	// with its status, which the controller of a workload writes just when the
	// pod template has been changed.
	SameGeneration
)

// Change is one write on one object, as plain data.
type Change struct {
	Verb Verb
	// Before is the object as it was read, nil for Create.
	Before workload.Object
	// After is the object as it is to be, nil for Delete.
	After workload.Object
	Guard Guard
	// Cannot begins the sentence that tells of a refusal: "claim x can't be made".
	Cannot string
	// Mend ends it with what a person may do, empty for nothing.
	Mend string
	// Reason is why the restore gives up where the change is refused. Where it is
	// empty, a refusal is an error that may pass.
	Reason string
	// Liftable says how to tell of a refusal that somebody can lift, a quota for
	// one, and that is waited for: "claim x can be made". Empty for none.
	Liftable string
	// IsOptional is true for a change that the step can do without: whatever it
	// fails by is told while the step waits.
	IsOptional bool
}

// Target is the object that the change is of.
func (c Change) Target() workload.Object {
	if c.Before != nil {
		return c.Before
	}
	return c.After
}

// String is the change for people: "patch Deployment shop/db".
func (c Change) String() string {
	t := c.Target()
	return fmt.Sprintf("%s %s %s", c.Verb, kindOf(t), nameOf(t))
}

func nameOf(obj workload.Object) string {
	if obj.GetNamespace() == "" {
		return obj.GetName()
	}
	return obj.GetNamespace() + "/" + obj.GetName()
}

// kindOf is the kind of an object. What was read by a typed client has none in
// itself.
func kindOf(obj workload.Object) string {
	switch obj.(type) {
	case *corev1.PersistentVolumeClaim:
		return "PersistentVolumeClaim"
	case *corev1.PersistentVolume:
		return "PersistentVolume"
	case *corev1.Pod:
		return "Pod"
	case *v1alpha1.VolumeBackup:
		return "VolumeBackup"
	case *appsv1.Deployment:
		return string(v1alpha1.KindDeployment)
	case *appsv1.StatefulSet:
		return string(v1alpha1.KindStatefulSet)
	case *appsv1.ReplicaSet:
		return string(v1alpha1.KindReplicaSet)
	}
	return obj.GetObjectKind().GroupVersionKind().Kind
}

// changed is the patch that makes of an object what change makes of a copy, and
// none where that is as it was.
func changed[T workload.Object](obj T, guard Guard, cannot string, change func(T)) []Change {
	after := obj.DeepCopyObject().(T)
	change(after)
	if equality.Semantic.DeepEqual(obj, after) {
		return nil
	}
	return []Change{{Verb: Patch, Before: obj, After: after, Guard: guard, Cannot: cannot}}
}

// changedVolume is the one place where a volume is changed: none is that isn't the
// restore's. Where a step depends on the change, a check says so before.
func (s *State) changedVolume(v *corev1.PersistentVolume, change func(*corev1.PersistentVolume)) []Change {
	if v == nil || s.foreign(v) != "" {
		return nil
	}
	return changed(v, SameVersion, "PersistentVolume "+v.Name+" can't be changed", change)
}

func changedClaim(claim *corev1.PersistentVolumeClaim, change func(*corev1.PersistentVolumeClaim)) []Change {
	if claim == nil {
		return nil
	}
	return changed(claim, Unguarded, "PersistentVolumeClaim "+claim.Name+" can't be changed", change)
}

// deletedClaim deletes a claim that isn't being deleted yet.
func deletedClaim(claim *corev1.PersistentVolumeClaim) []Change {
	if claim == nil || !claim.DeletionTimestamp.IsZero() {
		return nil
	}
	return []Change{{Verb: Delete, Before: claim, Cannot: "PersistentVolumeClaim " + claim.Name + " can't be deleted"}}
}

// deletesClaims is true where a claim is deleted by one of the changes.
func deletesClaims(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool {
		_, isClaim := c.Before.(*corev1.PersistentVolumeClaim)
		return isClaim && c.Verb == Delete
	})
}

// deletedPod deletes a pod that isn't being deleted yet.
func deletedPod(p *corev1.Pod) []Change {
	if !p.DeletionTimestamp.IsZero() {
		return nil
	}
	return []Change{{Verb: Delete, Before: p, Cannot: "pod " + p.Name + " can't be deleted"}}
}

// scaled tells a workload how many replicas to have.
func scaled(w *workload.Workload, n int32) []Change {
	if w == nil || w.Replicas == n {
		return nil
	}
	return changed(w.Object, SameGeneration, cannotScale(n), func(obj workload.Object) { setReplicas(obj, n) })
}

func cannotScale(n int32) string { return "the application can't be scaled to " + zeroOr(n) }

func setReplicas(obj workload.Object, n int32) {
	switch o := obj.(type) {
	case *appsv1.Deployment:
		o.Spec.Replicas = ptr.To(n)
	case *appsv1.StatefulSet:
		o.Spec.Replicas = ptr.To(n)
	case *appsv1.ReplicaSet:
		o.Spec.Replicas = ptr.To(n)
	}
}

func zeroOr(n int32) string {
	if n == 0 {
		return "zero"
	}
	return fmt.Sprintf("%d replica(s)", n)
}

// repointed points volumes of a workload's template at other claims. A rollout
// that is paused goes on until the end of the restore: it would keep the new
// template back.
func repointed(w *workload.Workload, claims map[string]string) []Change {
	return changed(w.Object, SameVersion, cannotRepoint, func(obj workload.Object) { repointTo(obj, claims) })
}

const cannotRepoint = "the pod template can't be changed"

func repointTo(obj workload.Object, claims map[string]string) {
	workload.Repoint(templateIn(obj), claims)
	setPaused(obj, false)
}

// asItWillBe is a change to what an object will be on the way. It is for a dry run
// alone, which asks also where the object is so already: what a policy lets stay it
// may not let come back.
func asItWillBe(obj workload.Object, cannot string, change func(workload.Object)) Change {
	after := obj.DeepCopyObject().(workload.Object)
	change(after)
	return Change{Verb: Patch, Before: obj, After: after, Cannot: cannot}
}

// paused pauses the rollout of a workload, or lets it go on.
func paused(w *workload.Workload, paused bool) []Change {
	if w == nil || w.Paused == paused {
		return nil
	}
	return changed(w.Object, SameVersion, "the rollout can't be paused again", func(obj workload.Object) { setPaused(obj, paused) })
}

func setPaused(obj workload.Object, paused bool) {
	if d, ok := obj.(*appsv1.Deployment); ok {
		d.Spec.Paused = paused
	}
}

func templateIn(obj workload.Object) *corev1.PodTemplateSpec {
	switch o := obj.(type) {
	case *appsv1.Deployment:
		return &o.Spec.Template
	case *appsv1.StatefulSet:
		return &o.Spec.Template
	case *appsv1.ReplicaSet:
		return &o.Spec.Template
	}
	return &corev1.PodTemplateSpec{}
}
