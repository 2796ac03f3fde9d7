package mover

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=events,verbs=list

// Movers are the Jobs of all tasks.
type Movers struct {
	// Writes makes and removes them, and Live reads past the cache.
	Writes client.Client
	Live   client.Reader
	// Image is the one that has the mover in it.
	Image string

	placing sync.Mutex
}

// OnlyOwner is the transform of a cache that keeps of a Job whose it is: that it has
// changed is all that it tells. Anybody may make one that looks like a mover's.
func OnlyOwner(obj any) (any, error) {
	job, ok := obj.(*batchv1.Job)
	if !ok {
		return obj, nil
	}
	kept := &batchv1.Job{TypeMeta: job.TypeMeta}
	kept.Namespace, kept.Name, kept.UID, kept.ResourceVersion = job.Namespace, job.Name, job.UID, job.ResourceVersion
	kept.OwnerReferences = job.OwnerReferences
	return kept, nil
}

// keptFor is how long the Job of a look is there after its end.
const keptFor = time.Hour

// Run is a task under way, or at its end.
type Run struct {
	// Ended is true once there is a Result.
	Ended  bool
	Result resticexport.Result
	// Waits says what the task waits for, empty while it runs.
	Waits string
	// Since is when its Job was made, zero where it waits for a place.
	Since time.Time
}

// A mover's pod has its place while it starts, which others wait for. How long it may
// take doubles with each time that it took too long: some take long each time.
const (
	startLimit     = 10 * time.Minute
	mostStartLimit = 2 * time.Hour
)

// IsStuck is true of a mover whose pod doesn't start, as so many before it didn't.
// Whoever began it removes its Job, so that others have its place, and tries again
// later.
func (r *Run) IsStuck(before int32, now time.Time) bool {
	limit := min(startLimit<<min(before, 8), mostStartLimit)
	return !r.Ended && r.Waits != "" && !r.Since.IsZero() && now.Sub(r.Since) > limit
}

// Run has a task run once: it makes the Job where there is none, and has it wait
// where the repository has no place for it.
func (m *Movers) Run(ctx context.Context, in resticexport.JobInput, owner metav1.OwnerReference, place Place) (Run, error) {
	job := &batchv1.Job{}
	err := m.Live.Get(ctx, client.ObjectKey{Namespace: in.Namespace, Name: in.Name}, job)
	switch {
	case apierrors.IsNotFound(err):
		return m.begin(ctx, in, owner, place)
	case err != nil:
		return Run{}, err
	case !isOwnedBy(job, owner.UID):
		return Run{}, v1alpha1.Problemf(v1alpha1.ReasonJobExists, "there is a Job %s that isn't Lull's: delete it", job.Name)
	case !job.DeletionTimestamp.IsZero():
		return Run{Waits: "waits until Job " + job.Name + " of an earlier attempt is gone"}, nil
	}
	run, err := m.look(ctx, job, place)
	if err != nil || run.Waits != "" {
		return run, err
	}
	return run, m.keepNoCache(ctx, &in)
}

func (m *Movers) begin(ctx context.Context, in resticexport.JobInput, owner metav1.OwnerReference, place Place) (Run, error) {
	m.placing.Lock()
	defer m.placing.Unlock()
	waits, err := m.waitsForPlace(ctx, in, place)
	if err != nil || waits != "" {
		return Run{Waits: waits}, err
	}
	if err := place.complete(ctx, &in.Task); err != nil {
		return Run{}, err
	}
	in.Image = m.Image
	job, err := m.fitted(ctx, in)
	if err != nil {
		return Run{}, err
	}
	if waits, err = m.waitsForInit(ctx, job); err != nil || waits != "" {
		return Run{Waits: waits}, err
	}
	if waits, err = m.waitsForCache(ctx, &in); err != nil || waits != "" {
		return Run{Waits: waits}, err
	}
	if waits, err = place.first(ctx); err != nil || waits != "" {
		return Run{Waits: waits}, err
	}
	job.OwnerReferences = []metav1.OwnerReference{owner}
	job.Labels[labelPlace] = string(place.Kind)
	if place.Kind == Beside || place.Kind == Alone || place.Kind == Copying { // what can be asked again needn't be kept for a manager that comes late
		job.Spec.TTLSecondsAfterFinished = ptr.To(int32(keptFor.Seconds()))
	}
	waits, err = Refusal("Job "+job.Name, m.Writes.Create(ctx, job))
	return Run{Waits: cmp.Or(waits, "its pod starts"), Since: job.CreationTimestamp.Time}, err
}

func isOwnedBy(obj metav1.Object, owner types.UID) bool {
	by := metav1.GetControllerOfNoCopy(obj)
	return by != nil && by.UID == owner
}

// Refusal is what is waited for where something can't be made because of a rule
// of its namespace: a quota, or an admission policy. Somebody may lift it.
func Refusal(what string, err error) (waits string, _ error) {
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
		return fmt.Sprintf("%s can't be made: %.512v", what, err), nil
	}
	return "", client.IgnoreAlreadyExists(err)
}

func (m *Movers) look(ctx context.Context, job *batchv1.Job, place Place) (Run, error) {
	run := Run{Since: job.CreationTimestamp.Time}
	pod, err := m.podOf(ctx, job)
	if err != nil {
		return run, err
	}
	if end := endOf(job); end != nil {
		run.Ended, run.Result = true, resultOf(pod, end)
		return run, nil
	}
	if pod == nil || pod.Status.Phase == corev1.PodPending {
		if run.Waits, err = place.first(ctx); err == nil && run.Waits == "" {
			run.Waits, err = m.whyPending(ctx, job, pod)
		}
	}
	return run, err
}

// podOf is the newest pod of a Job, nil where it has none. Anybody may give a pod the
// label: those that aren't the Job's don't count.
func (m *Movers) podOf(ctx context.Context, job *batchv1.Job) (*corev1.Pod, error) {
	var pods corev1.PodList
	if err := m.Live.List(ctx, &pods, client.InNamespace(job.Namespace), client.MatchingLabels{batchv1.JobNameLabel: job.Name}); err != nil {
		return nil, err
	}
	own := slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool { return !isOwnedBy(&pod, job.UID) })
	if len(own) == 0 {
		return nil, nil
	}
	newest := slices.MaxFunc(own, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return &newest, nil
}

func endOf(job *batchv1.Job) *batchv1.JobCondition {
	for i, c := range job.Status.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			return &job.Status.Conditions[i]
		}
	}
	return nil
}

// resultOf is what the mover said of its end, or what the Job says of it where its
// pod is gone.
func resultOf(pod *corev1.Pod, end *batchv1.JobCondition) resticexport.Result {
	if pod != nil {
		if result, ended := resticexport.PodResult(pod); ended {
			return result
		}
	}
	return resticexport.Result{Cause: resticexport.CauseInterrupted, Message: cmp.Or(end.Message, "its pod is gone")}
}

// whyPending says what a pod that doesn't run yet waits for: by the claims that it
// is to mount, by its conditions, and by the newest warning about it.
func (m *Movers) whyPending(ctx context.Context, job *batchv1.Job, pod *corev1.Pod) (string, error) {
	for _, v := range job.Spec.Template.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		if why, err := m.whyUnbound(ctx, job.Namespace, v.PersistentVolumeClaim.ClaimName); err != nil || why != "" {
			return why, err
		}
	}
	name := job.Name
	if pod != nil {
		name = pod.Name
	}
	if warning, err := m.warningOf(ctx, job.Namespace, name); err != nil || warning != "" {
		return fmt.Sprintf("pod %s doesn't start: %s", name, warning), err
	}
	return "its pod starts", nil
}

// whyUnbound is why a claim gets no volume, as far as somebody has said so. What is
// said of the pod that waits for it is only that it waits.
func (m *Movers) whyUnbound(ctx context.Context, namespace, name string) (string, error) {
	claim := &corev1.PersistentVolumeClaim{}
	if err := m.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, claim); err != nil || claim.Status.Phase != corev1.ClaimPending {
		return "", client.IgnoreNotFound(err)
	}
	warning, err := m.warningOf(ctx, namespace, name)
	if err != nil || warning == "" {
		return "", err
	}
	return fmt.Sprintf("claim %s gets no volume: %s", name, warning), nil
}

// warningOf is the newest warning about an object, empty where there is none.
func (m *Movers) warningOf(ctx context.Context, namespace, name string) (string, error) {
	var told corev1.EventList
	err := m.Live.List(ctx, &told, client.InNamespace(namespace), client.MatchingFields{"involvedObject.name": name, "type": corev1.EventTypeWarning})
	if err != nil || len(told.Items) == 0 {
		return "", err
	}
	newest := slices.MaxFunc(told.Items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
	return fmt.Sprintf("%.512s", newest.Message), nil
}

// RemoveOwn removes those of the Jobs that are of an owner. It is true once none of
// them is there any more.
func (m *Movers) RemoveOwn(ctx context.Context, namespace string, owner types.UID, names []string) (gone bool, err error) {
	gone = true
	for _, name := range names {
		job := &batchv1.Job{}
		err := m.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, job)
		if client.IgnoreNotFound(err) != nil {
			return false, err
		}
		if err != nil || !isOwnedBy(job, owner) {
			continue
		}
		gone = false
		uid := job.UID
		err = m.Writes.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationForeground), client.Preconditions{UID: &uid})
		if client.IgnoreNotFound(err) != nil {
			return false, err
		}
	}
	return gone, nil
}

// Remove removes a task's Job with its pod. It is gone once there is none.
func (m *Movers) Remove(ctx context.Context, namespace, name string) (gone bool, err error) {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	err = m.Writes.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationForeground))
	return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
}
