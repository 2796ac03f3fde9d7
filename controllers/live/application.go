package live

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// Application is what there is of an application at one moment.
type Application struct {
	// UID of the workload or the pod; empty for a claim.
	UID types.UID
	// Workload is nil for a pod and for a claim.
	Workload *workload.Workload
	// Claims that its pods name, or would: those of generic ephemeral volumes go
	// with their pods, and so would what is restored.
	Claims []string
	// Pods that belong to it, and Others of the namespace, that are not finished.
	Pods, Others []corev1.Pod
	// All pods of the namespace, finished ones too.
	All []corev1.Pod
	// Annotations of the template that each pod in Pods was made from, by the
	// pods' UIDs: those of the pod itself where there is no template that we know.
	Annotations map[types.UID]map[string]string
	// Untemplated are the UIDs of those pods.
	Untemplated map[types.UID]bool
	// Unread are annotations of what isn't read, by what carries them: the pods
	// that were made from a template, and the workloads that carry it.
	Unread map[string]map[string]string
}

// Application reads an application. One that isn't there is a passing Problem.
func (r Reader) Application(ctx context.Context, namespace string, ref v1alpha1.ApplicationReference) (*Application, error) {
	all, err := r.Pods(ctx, namespace)
	if err != nil {
		return nil, err
	}
	app := &Application{All: all, Annotations: map[types.UID]map[string]string{}, Untemplated: map[types.UID]bool{}, Unread: map[string]map[string]string{}}
	var belongs func(*corev1.Pod) bool
	switch ref.Kind {
	case v1alpha1.KindPersistentVolumeClaim:
		app.Claims = []string{ref.Name}
		belongs = func(p *corev1.Pod) bool { return workload.Mounts(p, ref.Name) }
	case v1alpha1.KindPod:
		belongs = func(p *corev1.Pod) bool { return p.Name == ref.Name }
	default:
		if app.Workload, err = r.Workload(ctx, namespace, ref); err != nil {
			return nil, err
		}
		if app.Workload == nil {
			return nil, notFound(ref, namespace)
		}
		belongs = app.Workload.Owns
		app.UID = app.Workload.Meta.UID
		if app.Claims, err = r.claimsOf(ctx, namespace, app.Workload); err != nil {
			return nil, err
		}
	}
	app.Pods, app.Others = workload.Partition(workload.Unfinished(all), belongs)
	if ref.Kind == v1alpha1.KindPod {
		if err := app.thePod(namespace, ref); err != nil {
			return nil, err
		}
	}
	if ref.Kind != v1alpha1.KindPersistentVolumeClaim {
		for i := range app.Pods {
			app.Claims = append(app.Claims, workload.NamedClaims(&app.Pods[i].Spec)...)
		}
	}
	return app, r.addAnnotations(ctx, namespace, app)
}

// NeverMounts are those of the names that are of no claim which replicas of the
// application have, had or may have.
func (a *Application) NeverMounts(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.Contains(a.Claims, name) || a.Workload != nil && a.Workload.MayMount(name)
	})
}

func (a *Application) thePod(namespace string, ref v1alpha1.ApplicationReference) error {
	if len(a.Pods) > 0 {
		a.UID = a.Pods[0].UID
		return nil
	}
	if slices.ContainsFunc(a.All, func(p corev1.Pod) bool { return p.Name == ref.Name }) {
		return v1alpha1.Problemf(v1alpha1.ReasonPodNotRunning,
			"pod %s in namespace %q has finished: back up each of its claims, by a spec.applicationRef of kind PersistentVolumeClaim", ref.Name, namespace)
	}
	return notFound(ref, namespace)
}

func notFound(ref v1alpha1.ApplicationReference, namespace string) error {
	return v1alpha1.PassingProblemf(v1alpha1.ReasonApplicationNotFound,
		"there is no %s %q in namespace %q: create it, or write another spec.applicationRef into a new backup", ref.Kind, ref.Name, namespace)
}

// claimsOf are the claims of every replica, whether its pod runs or not. Of a
// StatefulSet that is scaled to zero they are those that its replicas had. Too many
// of them are a Problem.
func (r Reader) claimsOf(ctx context.Context, namespace string, w *workload.Workload) ([]string, error) {
	claims, err := w.Claims()
	if err != nil || !w.IsAtZero() {
		return claims, err
	}
	there, err := r.Claims(ctx, namespace)
	return append(claims, w.ClaimsHad(slices.Sorted(maps.Keys(there)))...), err
}

// addAnnotations finds what speaks for each pod, and what doesn't.
func (r Reader) addAnnotations(ctx context.Context, namespace string, app *Application) (err error) {
	app.doesNotSpeak(app.Workload)
	for i := range app.Pods {
		p, by := &app.Pods[i], app.Workload
		if by == nil {
			if by, err = r.madeBy(ctx, namespace, p); err != nil {
				return err
			}
			app.doesNotSpeak(by)
		}
		if by == nil {
			app.Annotations[p.UID], app.Untemplated[p.UID] = p.Annotations, true
			continue
		}
		app.Annotations[p.UID] = by.Template.Annotations
		app.Unread["pod "+p.Name] = p.Annotations
	}
	return nil
}

// IgnorePodAnnotations has no pod speak for itself.
func (a *Application) IgnorePodAnnotations() {
	for i := range a.Pods {
		if p := &a.Pods[i]; a.Untemplated[p.UID] {
			a.Annotations[p.UID] = nil
			a.Unread["pod "+p.Name+", by spec.quiesce.podAnnotations: Ignore"] = p.Annotations
		}
	}
}

// doesNotSpeak notes what stands on a workload itself: its template speaks.
func (a *Application) doesNotSpeak(w *workload.Workload) {
	if w != nil {
		a.Unread[string(w.Ref.Kind)+" "+w.Ref.Name] = w.Meta.Annotations
	}
}

// madeBy is the workload whose template a pod was made from, nil where there is
// none that we know. Anybody who may create a pod may write that a workload owns it:
// it is one of the workload's where that selects it, and one without an owner where
// it doesn't.
func (r Reader) madeBy(ctx context.Context, namespace string, p *corev1.Pod) (*workload.Workload, error) {
	ref, owned := workload.OwnerRef(p)
	if !owned || ref.Kind == v1alpha1.KindDeployment { // a Deployment owns no pod by itself
		return nil, nil
	}
	owner, err := r.owner(ctx, namespace, p)
	if err != nil {
		return nil, err
	}
	if !owner.Selects(p) {
		p.OwnerReferences = nil
		return nil, nil
	}
	if above, is := workload.OwnerRef(&owner.Meta); is && ref.Kind == v1alpha1.KindReplicaSet && above.Kind == v1alpha1.KindDeployment {
		return r.owner(ctx, namespace, &owner.Meta)
	}
	return owner, nil
}

// owner is the workload that owns an object: that very one, and not another of its
// name. One that isn't there is a passing Problem.
func (r Reader) owner(ctx context.Context, namespace string, of metav1.Object) (*workload.Workload, error) {
	ref, _ := workload.OwnerRef(of)
	obj, err := r.WorkloadObject(ctx, namespace, ref)
	if err != nil {
		return nil, err
	}
	if obj == nil || !metav1.IsControlledBy(of, obj) {
		return nil, notFound(ref, namespace)
	}
	return workload.Of(obj, nil), nil
}
