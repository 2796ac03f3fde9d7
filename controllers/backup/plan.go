package backup

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/inuse"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/limits"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

// plan is all that one attempt needs to know. Making it freezes nothing.
type plan struct {
	application types.UID
	quiesce     hooks.ApplicationPlan
	volumes     []v1alpha1.VolumeStatus
	// handles are what the drivers call the volumes, by their claims.
	handles map[string]string
	// claimUIDs are of the claims.
	claimUIDs []types.UID
	// groupClass is the class of the group that the volumes are cut in, empty
	// where each is cut alone.
	groupClass string
	// retaining are the classes of the snapshots that have copies outlive them.
	retaining []string
	// warnings are of the volumes; those of the hooks are in quiesce.
	warnings []hooks.Warning
	// unread are annotations that don't count, by what carries them.
	unread map[string]map[string]string
	// cutBy are the classes that the copies are cut by, by the claims.
	cutBy map[string]cut.By
	// onePod are the claims of volumes that a node gives to one pod alone.
	onePod map[string]bool
	// doubt says what was in doubt before the freeze, empty where nothing was.
	doubt string
	// writers are the containers that can write to the volumes before the freeze,
	// or could.
	writers map[workload.Writer]bool
}

func (p *plan) warn(reason, message string) {
	if message != "" {
		p.warnings = append(p.warnings, hooks.Warning{Reason: reason, Message: message})
	}
}

// allWarnings are those that its owner should know, as many as a status has room for.
func (p *plan) allWarnings() []hooks.Warning {
	all := slices.Concat(p.warnings, p.quiesce.Warnings)
	all = all[:min(len(all), limits.Warnings)]
	for i := range all {
		all[i].Message = names.Clip(all[i].Message, limits.WarningBytes)
	}
	return all
}

// untold are the warnings that weren't told before, one for each reason: of
// several events of one reason the API keeps the words of one.
func untold(warnings []hooks.Warning, told []string) []hooks.Warning {
	var joined []hooks.Warning
	for _, w := range warnings {
		i := slices.IndexFunc(joined, func(j hooks.Warning) bool { return j.Reason == w.Reason })
		switch {
		case slices.Contains(told, w.Message):
		case i < 0:
			joined = append(joined, w)
		default:
			joined[i].Message += "; " + w.Message
		}
	}
	return joined
}

// pods are the UIDs of the pods that are quieted.
func (p *plan) pods() []types.UID {
	var uids []types.UID
	for _, t := range p.quiesce.Targets {
		uids = append(uids, t.UID)
	}
	return uids
}

// marked are the targets, whose commands carry the mark of the attempt.
func (p *plan) marked(mark hooks.Mark) []hooks.Target {
	targets := slices.Clone(p.quiesce.Targets)
	for i := range targets {
		targets[i].Mark = mark
	}
	return targets
}

// plan finds the application and checks all that can be checked before anything
// is frozen. Errors that a person can mend are Problems.
func (w *run) plan(ctx context.Context) (*plan, error) {
	app, err := live.Reader{Reader: w.Live}.Application(ctx, w.Namespace, w.Spec.ApplicationRef)
	if err != nil {
		return nil, err
	}
	if q := w.Spec.Quiesce; q != nil && q.PodAnnotations == v1alpha1.PodAnnotationsIgnore {
		app.IgnorePodAnnotations()
	}
	excluded, volumes := hooks.ExcludedVolumes(w.ownAnnotations(app)), workload.VolumeClaims(app.Workload, app.Pods, app.Claims)
	if problem := limits.Excluded(v1alpha1.AnnotationExcludeVolumes, len(excluded)); problem != nil {
		return nil, problem
	}
	claims, err := cut.SelectClaims(app.Claims, w.Spec.Volumes, excluded, volumes)
	if err != nil {
		return nil, err
	}
	if problem := limits.BackedUp(len(claims)); problem != nil {
		return nil, problem
	}
	p := &plan{
		application: app.UID, handles: map[string]string{}, cutBy: map[string]cut.By{}, onePod: map[string]bool{}, unread: app.Unread,
		writers: workload.Writers(app.All, claims),
	}
	for _, message := range cut.Unmatched(app.Claims, app.NeverMounts(excluded), volumes) {
		p.warn(v1alpha1.ReasonNothingExcluded, message)
	}
	if err := w.findVolumes(ctx, claims, p); err != nil {
		return nil, err
	}
	if err := w.planGroup(ctx, p); err != nil {
		return nil, err
	}
	p.warn(v1alpha1.ReasonClassRetains, cut.RetainingMessage(p.retaining, w.Spec.DeletionPolicy))
	if err := w.planQuiesce(ctx, app, claims, p); err != nil {
		return nil, err
	}
	if w.next() == cut.StepAttemptUnquieted {
		p.quiesce = p.quiesce.Unquieted(w.Status.Quiesce.Failure, w.Options.CutTimeout)
	}
	if problem := w.fit(p); problem != nil {
		return nil, problem
	}
	p.unread = nil // a plan may be waited with for hours
	return p, nil
}

// ownAnnotations are those that speak for all of the application: of its pod
// template, or of its only pod.
func (w *run) ownAnnotations(app *live.Application) map[string]string {
	if app.Workload != nil {
		return app.Workload.Template.Annotations
	}
	if w.Spec.ApplicationRef.Kind == v1alpha1.KindPod {
		return app.Annotations[app.UID]
	}
	return nil
}

// planQuiesce decides how the pods that mount the claims are quieted.
func (w *run) planQuiesce(ctx context.Context, app *live.Application, claims []string, p *plan) (err error) {
	in := hooks.Application{
		Spec: w.Spec.Quiesce, Annotations: app.Annotations, Unread: p.unread, Others: app.Others, Claims: claims,
		IsOne: app.UID != "", CutTimeout: w.Options.CutTimeout, Limits: w.Options.Limits,
	}
	if app.Workload != nil {
		in.Template = app.Workload.Template.Annotations
	}
	in.Pods, _ = workload.Partition(app.Pods, func(pod *corev1.Pod) bool { return workload.Mounts(pod, claims...) })
	if p.quiesce, err = hooks.PlanApplication(in); err != nil {
		return err
	}
	p.doubt, err = w.inUse.BeforeFreeze(ctx, p.uses(w.Namespace, app.All))
	if late := overdue(err, waitsUntil(w.VolumeBackup, w.Options.PrepareTimeout, w.Now()), w.Now()); late != "" {
		p.doubt, err = late, nil
	}
	return err
}

// uses is what is asked of the volumes' use; pods are all of the namespace.
func (p *plan) uses(namespace string, pods []corev1.Pod) inuse.Question {
	return inuse.Question{
		Namespace: namespace, Method: p.quiesce.Method, Volumes: p.volumes, Handles: p.handles, OnePod: p.onePod, Pods: pods, Held: p.pods(),
	}
}

// findVolumes checks each claim: it is bound, to a CSI volume, whose driver
// has a snapshot class.
func (w *run) findVolumes(ctx context.Context, claims []string, p *plan) error {
	var classes snapshotv1.VolumeSnapshotClassList
	if err := w.Live.List(ctx, &classes); err != nil {
		return err
	}
	for _, claim := range claims {
		pvc, pv, err := w.boundVolume(ctx, claim, p)
		if err != nil {
			return err
		}
		class, err := cut.ChooseClass(classes.Items, pv.Spec.CSI.Driver, ptr.Deref(w.Spec.VolumeSnapshotClassName, ""))
		if err != nil && w.Spec.VolumeGroupSnapshotClassName == nil {
			return err
		}
		p.noteClass(claim, class, pv.Spec.CSI.Driver, classes.Items)
		p.handles[claim] = pv.Spec.CSI.VolumeHandle
		p.onePod[claim] = slices.Equal(pv.Spec.AccessModes, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod})
		if pv.Spec.ClaimRef != nil {
			p.claimUIDs = append(p.claimUIDs, pv.Spec.ClaimRef.UID)
		}
		p.volumes = append(p.volumes, v1alpha1.VolumeStatus{
			ClaimName: claim, VolumeName: pv.Name, Driver: pv.Spec.CSI.Driver, VolumeSnapshotClassName: class,
			Claim: cut.RecordClaim(pvc),
		})
	}
	p.retaining = cut.Retaining(classes.Items, p.volumes)
	return nil
}

// noteClass notes by which class a claim's copy is cut where it is cut alone.
func (p *plan) noteClass(claim, name, driver string, classes []snapshotv1.VolumeSnapshotClass) {
	p.cutBy[claim] = cut.By{Driver: driver, Kind: kindSnapshotClass, Name: name}
	for i := range classes {
		if classes[i].Name == name {
			p.cutBy[claim] = cut.By{Driver: driver, Kind: kindSnapshotClass, Name: name, Instant: cut.InstantOf(&classes[i], driver)}
		}
	}
}

// noteGroupClass notes the same of the class of a group. Where that says nothing
// of it, the volumes are cut at one instant, as CSI asks of a group, unless the
// class that each would be cut by alone says that the driver copies.
func (p *plan) noteGroupClass(name string, classes []cut.GroupClass) {
	for i := range classes {
		if classes[i].Name != name {
			continue
		}
		for claim, by := range p.cutBy {
			switch instant := cut.InstantOf(&classes[i], ""); {
			case instant != cut.InstantUnknown:
				p.cutBy[claim] = cut.By{Driver: by.Driver, Kind: kindGroupClass, Name: name, Instant: instant}
			case by.Instant == cut.InstantUnknown:
				by.Instant = cut.OneInstant
				p.cutBy[claim] = by
			}
		}
	}
}

func (w *run) boundVolume(ctx context.Context, claim string, p *plan) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume, error) {
	mend := "leave it out by spec.volumes.exclude"
	if w.Spec.ApplicationRef.Kind == v1alpha1.KindPersistentVolumeClaim {
		mend = "write another spec.applicationRef into a new backup"
	}
	var pvc corev1.PersistentVolumeClaim
	if err := w.Live.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: claim}, &pvc); apierrors.IsNotFound(err) {
		return nil, nil, v1alpha1.PassingProblemf(v1alpha1.ReasonClaimNotFound,
			"there is no PersistentVolumeClaim %q in namespace %q: create it, or %s", claim, w.Namespace, mend)
	} else if err != nil {
		return nil, nil, err
	}
	p.unread["PersistentVolumeClaim "+claim] = pvc.Annotations
	if !pvc.DeletionTimestamp.IsZero() {
		return nil, nil, v1alpha1.Problemf(v1alpha1.ReasonClaimNotFound,
			"PersistentVolumeClaim %q is being deleted, and no snapshot can be made of it: %s", claim, mend)
	}
	if pvc.Status.Phase != corev1.ClaimBound || pvc.Spec.VolumeName == "" {
		return nil, nil, v1alpha1.PassingProblemf(v1alpha1.ReasonClaimNotBound,
			"PersistentVolumeClaim %q is %s, not Bound, so it has no volume to back up: kubectl describe pvc %s says why", claim, cmp.Or(string(pvc.Status.Phase), "new"), claim)
	}
	var pv corev1.PersistentVolume
	if err := w.Live.Get(ctx, client.ObjectKey{Name: pvc.Spec.VolumeName}, &pv); err != nil {
		return nil, nil, err
	}
	if pv.Spec.CSI == nil {
		return nil, nil, v1alpha1.Problemf(v1alpha1.ReasonNotCSI,
			"PersistentVolumeClaim %q is bound to %s, which isn't a CSI volume and can't be snapshotted: leave it out by spec.volumes.exclude or the annotation %s", claim, pv.Name, v1alpha1.AnnotationExcludeVolumes)
	}
	return &pvc, &pv, nil
}

// planGroup decides whether the volumes are cut as a group. Where nobody asked
// for that only the first attempt does: what failed in it may be the group.
func (w *run) planGroup(ctx context.Context, p *plan) error {
	asked := ptr.Deref(w.Spec.VolumeGroupSnapshotClassName, "")
	if asked == "" && (!w.groups.served() || w.Spec.VolumeSnapshotClassName != nil || w.Status.Quiesce != nil) {
		return nil
	}
	if !w.groups.served() {
		return v1alpha1.Problemf(v1alpha1.ReasonNoSnapshotClass, "%s: leave out spec.volumeGroupSnapshotClassName, or restart Lull once it does", noGroups)
	}
	classes, err := w.groups.classes(ctx)
	if err != nil {
		return err
	}
	class, err := cut.ChooseGroupClass(classes, p.volumes, asked)
	if class != "" {
		p.groupClass, p.retaining = class, cut.RetainingGroups(classes, class)
		p.noteGroupClass(class, classes)
		for i := range p.volumes {
			p.volumes[i].VolumeSnapshotClassName = ""
		}
	}
	return err
}

// lookAgain looks, after the thaw, whether what was planned still holds: the
// same pods write to the volumes, in the same containers, and the claims lead to
// the volumes that were cut. unchanged is false where a writer has come, or one
// that only read can write. doubt is about pods that the API has forgotten.
func (w *run) lookAgain(ctx context.Context, p *plan) (unchanged bool, doubt string, err error) {
	pods, err := live.Reader{Reader: w.Live}.Pods(ctx, w.Namespace)
	if err != nil {
		return false, "", fmt.Errorf("could not see whether another pod had come: %w", err)
	}
	unchanged = !workload.HasNewWriter(p.writers, workload.Writers(pods, cut.ClaimNames(p.volumes)))
	if err := hooks.CheckContainers(p.quiesce.Targets, pods); unchanged && err != nil {
		return true, "", err
	}
	if err := w.sameVolumes(ctx, p); err != nil {
		return unchanged, "", err
	}
	doubt, err = w.inUse.AfterCut(ctx, p.uses(w.Namespace, pods))
	return unchanged, doubt, err
}

// sameVolumes is nil where the claims lead to the volumes that they led to
// before the cut: a restore may have replaced them one after the other.
func (w *run) sameVolumes(ctx context.Context, p *plan) error {
	claims, err := live.Reader{Reader: w.Live}.Claims(ctx, w.Namespace)
	if err != nil {
		return fmt.Errorf("could not see whether the claims had been replaced: %w", err)
	}
	for _, v := range p.volumes {
		if c := claims[v.ClaimName]; c == nil || c.Spec.VolumeName != v.VolumeName {
			return fmt.Errorf("PersistentVolumeClaim %s was replaced while its volume was cut", v.ClaimName)
		}
	}
	return nil
}
