package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot"
)

// plan is all that one attempt needs to know. Making it freezes nothing.
type plan struct {
	application types.UID
	method      v1alpha1.QuiesceMethod
	targets     []hooks.Target
	volumes     []v1alpha1.VolumeStatus
	// handles are what the drivers call the volumes, by their claims.
	handles map[string]string
	// claimUIDs are of the claims.
	claimUIDs []types.UID
	// groupClass is the class of the group that the volumes are cut in, empty
	// where each is cut alone.
	groupClass string
	timeout    time.Duration
	onFailure  v1alpha1.OnFailure
	warnings   []hooks.Warning
	// containers that the hooks run in: what the runtime calls them, which
	// changes when they are started anew.
	containers map[containerOf]string
	// one: some pods may stand for others, see uncovered.
	one bool
	// mounters are the pods that mount the volumes, before the freeze.
	mounters map[types.UID]bool
	// uncovered says which pod writes to the volumes without being quieted,
	// empty where none does.
	uncovered string
}

// containerOf is a container of a pod, by its name.
type containerOf struct {
	pod  types.UID
	name string
}

func (p *plan) claims() []string {
	names := make([]string, 0, len(p.volumes))
	for _, v := range p.volumes {
		names = append(names, v.ClaimName)
	}
	return names
}

// prepare finds the application and checks all that can be checked before
// anything is frozen. Errors that a person can mend are Problems.
func (r *VolumeBackupReconciler) prepare(ctx context.Context, b *v1alpha1.VolumeBackup) (*plan, error) {
	app, err := findApplication(ctx, r.Live, b.Namespace, b.Spec.ApplicationRef)
	if err != nil {
		return nil, err
	}
	p := &plan{application: app.uid, onFailure: v1alpha1.OnFailureFail, containers: map[containerOf]string{}, handles: map[string]string{}}
	if b.Spec.Quiesce != nil && b.Spec.Quiesce.OnFailure != "" {
		p.onFailure = b.Spec.Quiesce.OnFailure
	}
	claims, err := r.selectClaims(ctx, b, app)
	if err != nil {
		return nil, err
	}
	if err := r.findVolumes(ctx, b, claims, p); err != nil {
		return nil, err
	}
	if err := r.planGroup(ctx, b, p); err != nil {
		return nil, err
	}
	p.mounters = mounters(app.all, claims)
	return p, r.planQuiesce(ctx, b, app, claims, p)
}

func (r *VolumeBackupReconciler) selectClaims(ctx context.Context, b *v1alpha1.VolumeBackup, app *application) ([]string, error) {
	annotations := app.annotations
	if !app.templated && len(app.pods) > 0 && b.Spec.ApplicationRef.Kind == v1alpha1.KindPod {
		var err error
		if annotations, err = annotationsOf(ctx, r.Live, app, &app.pods[0]); err != nil {
			return nil, err
		}
	}
	return snapshot.SelectClaims(app.claims, b.Spec.Volumes, hooks.ExcludedVolumes(annotations))
}

// planQuiesce decides how the pods that mount the claims are quieted.
func (r *VolumeBackupReconciler) planQuiesce(ctx context.Context, b *v1alpha1.VolumeBackup, app *application, claims []string, p *plan) error {
	users := slices.DeleteFunc(slices.Clone(app.pods), func(pod corev1.Pod) bool { return !mounts(&pod, claims) })
	if len(users) == 0 {
		p.method, p.timeout = v1alpha1.MethodIdle, r.Options.CutTimeout
		if len(mounters(app.neighbours, claims)) > 0 {
			p.method, p.uncovered = v1alpha1.MethodNone, "pods of other applications mount its volumes"
		}
		// What is wrong with the hooks is told now, and not on the day when a
		// pod runs.
		quiet, err := hooks.Resolve(b.Spec.Quiesce, app.annotations)
		p.warn(quiet.Warnings)
		if err != nil || p.method == v1alpha1.MethodNone {
			return err
		}
		return p.unlessContinue(r.volumesLetGo(ctx, app, claims, p), r.Options.CutTimeout)
	}
	slices.SortFunc(users, readyFirst)
	for i := range users {
		if err := r.aim(ctx, b, app, &users[i], claims, p); err != nil {
			return p.unlessContinue(err, r.Options.CutTimeout)
		}
	}
	if p.method == v1alpha1.MethodNone {
		p.timeout = r.Options.CutTimeout
		return nil
	}
	p.uncovered = uncovered(app, users, claims, p)
	return nil
}

// readyFirst orders pods so that One is a pod that is ready, by name.
func readyFirst(a, b corev1.Pod) int {
	return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(a.Name, b.Name))
}

func rank(p *corev1.Pod) int {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return 0
		}
	}
	return 1
}

// aim adds one pod to the plan.
func (r *VolumeBackupReconciler) aim(ctx context.Context, b *v1alpha1.VolumeBackup, app *application, pod *corev1.Pod, claims []string, p *plan) error {
	annotations, err := annotationsOf(ctx, r.Live, app, pod)
	if err != nil {
		return err
	}
	quiet, err := hooks.Resolve(b.Spec.Quiesce, annotations)
	if err != nil {
		return err
	}
	// Of several, Fail is the safe one.
	if len(p.targets) == 0 || quiet.Method != v1alpha1.MethodNone && quiet.OnFailure == v1alpha1.OnFailureFail {
		p.onFailure = quiet.OnFailure
	}
	if p.method == "" || p.method == v1alpha1.MethodNone {
		p.method, p.timeout = quiet.Method, quiet.Timeout
	}
	p.warn(quiet.Warnings)
	p.one = p.one || quiet.Pods == v1alpha1.PodsOne
	if quiet.Method == v1alpha1.MethodNone || (quiet.Pods == v1alpha1.PodsOne && len(p.targets) > 0) {
		return nil
	}
	if pod.Status.Phase != corev1.PodRunning || !pod.DeletionTimestamp.IsZero() {
		return v1alpha1.PassingProblemf(v1alpha1.ReasonPodNotRunning,
			"pod %s mounts a volume of the application and is %s: its hooks can't run until it runs, or is gone", pod.Name, podState(pod))
	}
	target, err := hooks.Aim(quiet, pod, claims)
	if err != nil {
		return err
	}
	p.targets = append(p.targets, target)
	for _, name := range target.Containers() {
		p.containers[containerOf{pod.UID, name}] = containerID(pod, name)
	}
	if quiet.Method == v1alpha1.MethodHooks {
		p.method = v1alpha1.MethodHooks
	}
	p.timeout = min(p.timeout, quiet.Timeout)
	return nil
}

// warn keeps each warning once: most pods are of one template.
func (p *plan) warn(warnings []hooks.Warning) {
	for _, w := range warnings {
		if !slices.Contains(p.warnings, w) {
			p.warnings = append(p.warnings, w)
		}
	}
}

func podState(p *corev1.Pod) string {
	if !p.DeletionTimestamp.IsZero() {
		return "being deleted"
	}
	return string(p.Status.Phase)
}

// unlessContinue turns pods that can't be quieted into a plan without quiet,
// where the owner asked for that.
func (p *plan) unlessContinue(err error, timeout time.Duration) error {
	var problem *v1alpha1.Problem
	if p.onFailure != v1alpha1.OnFailureContinue || !errors.As(err, &problem) || problem.Reason != v1alpha1.ReasonPodNotRunning {
		return err
	}
	p.method, p.targets, p.timeout, p.uncovered = v1alpha1.MethodNone, nil, timeout, problem.Message
	return nil
}

// unquieted is the plan without its quiet.
func (p *plan) unquieted(timeout time.Duration, why string) {
	p.method, p.targets, p.timeout, p.uncovered = v1alpha1.MethodNone, nil, timeout, why
}

// unpaired says why the hooks of the plan are nobody's word, empty where they
// are.
func (p *plan) unpaired() string {
	for _, t := range p.targets {
		if why := t.Unpaired(); why != "" {
			return why
		}
	}
	return ""
}

// uncovered names a pod that writes to the claims without being quieted. Where
// one pod is to stand for the others it does so for those with the same owner,
// and only for claims that it mounts itself.
func uncovered(app *application, users []corev1.Pod, claims []string, p *plan) string {
	quieted := map[types.UID]bool{}
	for _, t := range p.targets {
		quieted[t.UID] = true
	}
	for i := range users {
		rest := claims
		for j := range users {
			if quieted[users[j].UID] && (i == j || p.one && standsFor(app, &users[j], &users[i])) {
				mounted := claimsOf(users[j].Spec.Volumes)
				rest = slices.DeleteFunc(slices.Clone(rest), func(c string) bool { return slices.Contains(mounted, c) })
			}
		}
		if writes(&users[i], rest) {
			return fmt.Sprintf("pod %s writes to the volumes and was not quieted", users[i].Name)
		}
	}
	for i := range app.neighbours {
		if writes(&app.neighbours[i], claims) {
			return fmt.Sprintf("pod %s, of another application, writes to the volumes and was not quieted", app.neighbours[i].Name)
		}
	}
	return ""
}

// standsFor is true for pods of one application. Pods that only share a claim
// may be of several.
func standsFor(app *application, one, other *corev1.Pod) bool {
	a, b := metav1.GetControllerOf(one), metav1.GetControllerOf(other)
	return app.uid != "" || a != nil && b != nil && a.UID == b.UID
}

// findVolumes checks each claim: it is bound, to a CSI volume, whose driver
// has a snapshot class.
func (r *VolumeBackupReconciler) findVolumes(ctx context.Context, b *v1alpha1.VolumeBackup, claims []string, p *plan) error {
	var classes snapshotv1.VolumeSnapshotClassList
	if err := r.Live.List(ctx, &classes); err != nil {
		return err
	}
	for _, claim := range claims {
		pv, err := r.boundVolume(ctx, b, claim)
		if err != nil {
			return err
		}
		class, err := snapshot.ChooseClass(classes.Items, pv.Spec.CSI.Driver, ptr.Deref(b.Spec.VolumeSnapshotClassName, ""))
		if err != nil && b.Spec.VolumeGroupSnapshotClassName == nil {
			return err
		}
		p.handles[claim] = pv.Spec.CSI.VolumeHandle
		if pv.Spec.ClaimRef != nil {
			p.claimUIDs = append(p.claimUIDs, pv.Spec.ClaimRef.UID)
		}
		p.volumes = append(p.volumes, v1alpha1.VolumeStatus{
			ClaimName: claim, VolumeName: pv.Name, Driver: pv.Spec.CSI.Driver, VolumeSnapshotClassName: class,
		})
	}
	return nil
}

func (r *VolumeBackupReconciler) boundVolume(ctx context.Context, b *v1alpha1.VolumeBackup, claim string) (*corev1.PersistentVolume, error) {
	mend := "leave it out by spec.volumes.exclude"
	if b.Spec.ApplicationRef.Kind == v1alpha1.KindPersistentVolumeClaim {
		mend = "write another spec.applicationRef into a new backup"
	}
	var pvc corev1.PersistentVolumeClaim
	if err := r.Live.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: claim}, &pvc); apierrors.IsNotFound(err) {
		return nil, v1alpha1.PassingProblemf(v1alpha1.ReasonClaimNotFound,
			"there is no PersistentVolumeClaim %q in namespace %q: create it, or %s", claim, b.Namespace, mend)
	} else if err != nil {
		return nil, err
	}
	if !pvc.DeletionTimestamp.IsZero() {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonClaimNotFound,
			"PersistentVolumeClaim %q is being deleted, and no snapshot can be made of it: %s", claim, mend)
	}
	if pvc.Status.Phase != corev1.ClaimBound || pvc.Spec.VolumeName == "" {
		return nil, v1alpha1.PassingProblemf(v1alpha1.ReasonClaimNotBound,
			"PersistentVolumeClaim %q is %s, not Bound, so it has no volume to back up: kubectl describe pvc %s says why", claim, cmp.Or(string(pvc.Status.Phase), "new"), claim)
	}
	var pv corev1.PersistentVolume
	if err := r.Live.Get(ctx, client.ObjectKey{Name: pvc.Spec.VolumeName}, &pv); err != nil {
		return nil, err
	}
	if pv.Spec.CSI == nil {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonNotCSI,
			"PersistentVolumeClaim %q is bound to %s, which isn't a CSI volume and can't be snapshotted: leave it out by spec.volumes.exclude or the annotation %s", claim, pv.Name, v1alpha1.AnnotationExcludeVolumes)
	}
	return &pv, nil
}
