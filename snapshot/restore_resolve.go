package snapshot

import (
	"fmt"
	"slices"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// RestoreInput is all that a restore is resolved from, as it is at one moment.
type RestoreInput struct {
	Restore *v1alpha1.VolumeRestore
	Backup  *v1alpha1.VolumeBackup
	// Workload is nil where there is none, or its kind can't be scaled.
	Workload *Workload
	// Snapshots and Contents by their names.
	Snapshots map[string]*snapshotv1.VolumeSnapshot
	Contents  map[string]*snapshotv1.VolumeSnapshotContent
	// Claims and Pods of the namespace.
	Claims map[string]*corev1.PersistentVolumeClaim
	Pods   []corev1.Pod
	// Classes by their names.
	Classes     map[string]*storagev1.StorageClass
	Autoscalers []autoscalingv2.HorizontalPodAutoscaler
}

// Resolution is what a restore sets out to do.
type Resolution struct {
	Strategy v1alpha1.RestoreStrategy
	Reason   string
	Claims   []v1alpha1.RestoredClaim
	// Autoscaler that steps aside while there are no replicas.
	Autoscaler string
	// Unrestored are claims of the application that the backup doesn't hold.
	Unrestored []string
}

// Resolve decides what a restore does, or says why it can't. It changes
// nothing, so that a dry run can ask the same.
func Resolve(in RestoreInput) (*Resolution, error) {
	volumes, err := in.sources()
	if err != nil {
		return nil, err
	}
	res := &Resolution{}
	if res.Strategy, res.Reason, err = in.chooseStrategy(); err != nil {
		return nil, err
	}
	if err := in.checkTarget(res); err != nil {
		return nil, err
	}
	for _, v := range volumes {
		claim, err := in.claim(res, v)
		if err != nil {
			return nil, err
		}
		res.Claims = append(res.Claims, claim)
	}
	return res, in.checkClaims(res)
}

// TargetOf names the application of a restore: the one that is asked for, else
// the one that was backed up.
func TargetOf(r *v1alpha1.VolumeRestore, b *v1alpha1.VolumeBackup) v1alpha1.ApplicationReference {
	if r.Spec.Target.ApplicationRef != nil {
		return *r.Spec.Target.ApplicationRef
	}
	return b.Spec.ApplicationRef
}

// sources are the volumes of the backup that are restored, each with a
// snapshot that is there and ready: an empty volume is never a restore.
func (in *RestoreInput) sources() ([]v1alpha1.VolumeStatus, error) {
	if err := in.checkBackup(); err != nil {
		return nil, err
	}
	var held []string
	for _, v := range in.Backup.Status.Volumes {
		held = append(held, v.ClaimName)
	}
	sel := in.Restore.Spec.Volumes
	for _, name := range slices.Concat(sel.Include, sel.Exclude) {
		if !slices.Contains(held, name) {
			return nil, v1alpha1.Problemf(v1alpha1.ReasonClaimNotFound,
				"spec.volumes names claim %q, which VolumeBackup %s doesn't hold: it holds %s", name, in.Backup.Name, list(held))
		}
	}
	var chosen []v1alpha1.VolumeStatus
	for _, v := range in.Backup.Status.Volumes {
		left := len(sel.Include) > 0 && !slices.Contains(sel.Include, v.ClaimName)
		if left || slices.Contains(sel.Exclude, v.ClaimName) {
			continue
		}
		if err := in.checkSnapshot(v); err != nil {
			return nil, err
		}
		chosen = append(chosen, v)
	}
	if len(chosen) == 0 {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonNoVolumes,
			"every claim of VolumeBackup %s (%s) is excluded by spec.volumes: leave at least one", in.Backup.Name, list(held))
	}
	for name := range in.Restore.Spec.Target.Claims {
		if !slices.Contains(held, name) {
			return nil, v1alpha1.Problemf(v1alpha1.ReasonClaimNotFound,
				"spec.target.claims names claim %q, which VolumeBackup %s doesn't hold: it holds %s", name, in.Backup.Name, list(held))
		}
	}
	return chosen, nil
}

func (in *RestoreInput) checkBackup() error {
	b := in.Backup
	switch {
	case !b.DeletionTimestamp.IsZero():
		return v1alpha1.Problemf(v1alpha1.ReasonBackupIncomplete, "VolumeBackup %s is being deleted: restore from another", b.Name)
	case !Ended(b):
		return v1alpha1.PassingProblemf(v1alpha1.ReasonBackupIncomplete,
			"VolumeBackup %s is %s, not Completed: wait for it (kubectl wait --for=condition=Complete volumebackup/%s), or restore from another", b.Name, orNew(string(b.Status.Phase)), b.Name)
	case b.Status.Phase != v1alpha1.PhaseCompleted:
		return v1alpha1.Problemf(v1alpha1.ReasonBackupIncomplete,
			"VolumeBackup %s is %s and can't be restored from: restore from another (kubectl get volumebackup). It says: %.512s", b.Name, b.Status.Phase, b.Status.Message)
	case len(b.Status.Volumes) == 0:
		return v1alpha1.Problemf(v1alpha1.ReasonBackupIncomplete, "VolumeBackup %s holds no volume: restore from another", b.Name)
	}
	return nil
}

func orNew(phase string) string {
	if phase == "" {
		return "new"
	}
	return phase
}

func (in *RestoreInput) checkSnapshot(v v1alpha1.VolumeStatus) error {
	snap := in.Snapshots[v.SnapshotName]
	if snap == nil || !snap.DeletionTimestamp.IsZero() {
		return v1alpha1.Problemf(v1alpha1.ReasonSnapshotNotFound,
			"VolumeSnapshot %q of claim %s is gone: restore from another backup, or leave the claim out by spec.volumes.exclude", v.SnapshotName, v.ClaimName)
	}
	content := in.Contents[ContentName(snap)]
	if content == nil {
		return v1alpha1.Problemf(v1alpha1.ReasonSnapshotNotFound,
			"VolumeSnapshotContent %q of claim %s is gone, and the snapshot with it: restore from another backup, or leave the claim out by spec.volumes.exclude", ContentName(snap), v.ClaimName)
	}
	if o := Observe(snap, content); !o.Ready {
		said := ""
		if o.Error != "" {
			said = ". The driver says: " + o.Error
		}
		return v1alpha1.PassingProblemf(v1alpha1.ReasonSnapshotNotReady,
			"VolumeSnapshot %q of claim %s isn't ready to be restored: wait until it is, or restore from another backup%s", v.SnapshotName, v.ClaimName, said)
	}
	return nil
}

// chooseStrategy is what is asked for, where that is possible.
func (in *RestoreInput) chooseStrategy() (v1alpha1.RestoreStrategy, string, error) {
	asked := in.Restore.Spec.Target.Strategy
	ref := TargetOf(in.Restore, in.Backup)
	if asked == v1alpha1.StrategyClaimsOnly {
		return asked, "asked for", nil
	}
	if !Scalable(ref.Kind) {
		if asked == v1alpha1.StrategyAuto || asked == "" {
			return v1alpha1.StrategyClaimsOnly, fmt.Sprintf("a %s can't be scaled to zero and back: the claims are made, and nothing is touched", ref.Kind), nil
		}
		return "", "", v1alpha1.Problemf(v1alpha1.ReasonStrategyImpossible,
			"a %s can't be scaled to zero and back, so %s isn't possible: write strategy ClaimsOnly and put the claims to use by hand", ref.Kind, asked)
	}
	if in.Workload == nil {
		return "", "", v1alpha1.PassingProblemf(v1alpha1.ReasonApplicationNotFound,
			"there is no %s %q in namespace %q: create it, name another in spec.target.applicationRef, or write strategy ClaimsOnly", ref.Kind, ref.Name, in.Restore.Namespace)
	}
	if err := in.checkOwner(); err != nil {
		return "", "", err
	}
	switch asked {
	case v1alpha1.StrategyRepoint:
		return asked, "asked for", in.checkRepoint()
	case v1alpha1.StrategyReplace:
		return asked, "asked for", nil
	}
	strategy, reason := in.Workload.auto()
	return strategy, reason, nil
}

// auto is the strategy for a workload that can be scaled.
func (w *Workload) auto() (v1alpha1.RestoreStrategy, string) {
	manager := ManagedBy(w.Meta)
	switch {
	case w.Ref.Kind == v1alpha1.KindStatefulSet:
		return v1alpha1.StrategyReplace, "the claim templates of a StatefulSet can't be changed"
	case manager != nil:
		return v1alpha1.StrategyReplace, fmt.Sprintf("it is managed by %s, which would undo a changed template", manager)
	case w.Pending:
		return v1alpha1.StrategyReplace, "its rollout is paused and holds changes back, which a changed template would let go"
	}
	return v1alpha1.StrategyRepoint, "it can be repointed and no other tool manages it"
}

func (in *RestoreInput) checkRepoint() error {
	w := in.Workload
	manager := ManagedBy(w.Meta)
	switch {
	case w.Ref.Kind == v1alpha1.KindStatefulSet:
		return v1alpha1.Problemf(v1alpha1.ReasonStrategyImpossible,
			"the claim templates of StatefulSet %s can't be changed, so it can't be repointed: write strategy Replace", w.Ref.Name)
	case manager != nil && manager.Certain:
		return v1alpha1.Problemf(v1alpha1.ReasonManagedByOther,
			"%s %s is managed by %s, which would undo a changed template: write strategy Replace. Or write ClaimsOnly, and in the manifest set %s",
			w.Ref.Kind, w.Ref.Name, manager, in.manifestChange())
	case w.Pending:
		return v1alpha1.Problemf(v1alpha1.ReasonRolloutPaused,
			"the rollout of Deployment %s is paused and holds changes back, which a changed template would let go: write strategy Replace, or resume it first (kubectl rollout resume deployment/%s)", w.Ref.Name, w.Ref.Name)
	}
	return nil
}

// manifestChange is what a person would change in the manifest to repoint it.
func (in *RestoreInput) manifestChange() string {
	var changes []string
	for _, v := range in.Backup.Status.Volumes {
		mounted, err := in.mountedAs(v1alpha1.StrategyRepoint, v.ClaimName)
		if err != nil {
			continue
		}
		for _, name := range in.Workload.templateVolumes(mounted) {
			changes = append(changes, fmt.Sprintf("spec.template.spec.volumes[name=%s].persistentVolumeClaim.claimName: %s", name, in.newName(v.ClaimName, mounted)))
		}
	}
	return strings.Join(changes, ", ")
}
