package restore

import (
	"slices"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

// Input is all that a restore is resolved from, as it is at one moment.
type Input struct {
	Restore *v1alpha1.VolumeRestore
	Backup  *v1alpha1.VolumeBackup
	// Workload is nil where there is none, or its kind can't be scaled.
	Workload *workload.Workload
	// Snapshots and Contents by their names.
	Snapshots map[string]*snapshotv1.VolumeSnapshot
	Contents  map[string]*snapshotv1.VolumeSnapshotContent
	// Claims and Pods of the namespace.
	Claims map[string]*corev1.PersistentVolumeClaim
	Pods   []corev1.Pod
	// Others are what else of the namespace makes pods, as far as they are told
	// of. The application may be among them.
	Others []workload.Workload
	// Kept are the volumes of the namespace that restores keep, and MaxKept is how many
	// they may be, 0 for no bound.
	Kept    []corev1.PersistentVolume
	MaxKept int
	// Classes by their names.
	Classes     map[string]*storagev1.StorageClass
	Autoscalers []autoscalingv2.HorizontalPodAutoscaler

	// mounted are the claims that the workload mounts, sorted, each once.
	mounted []string
}

// noteMounted takes the claims that the workload mounts. Too many of them are a
// Problem, unless no application is to be touched.
func (in *Input) noteMounted() error {
	if in.Workload == nil {
		return nil
	}
	mounted, err := in.Workload.Claims()
	if err != nil && in.Restore.Spec.Target.Strategy != v1alpha1.StrategyClaimsOnly {
		return err
	}
	in.mounted = names.Set(mounted)
	return nil
}

// proposal is what a restore would do, before it is known whether it can.
type proposal struct {
	*Input
	res Resolution
	// volumes of the backup that are restored.
	volumes []v1alpha1.VolumeStatus
}

// touches is true for a restore that touches an application.
func (p *proposal) touches() bool { return p.res.Strategy != v1alpha1.StrategyClaimsOnly }

// TargetOf names the application of a restore: the one that is asked for, else
// the one that was backed up.
func TargetOf(r *v1alpha1.VolumeRestore, b *v1alpha1.VolumeBackup) v1alpha1.ApplicationReference {
	if r.Spec.Target.ApplicationRef != nil {
		return *r.Spec.Target.ApplicationRef
	}
	return b.Spec.ApplicationRef
}

func (in *Input) target() v1alpha1.ApplicationReference { return TargetOf(in.Restore, in.Backup) }

// source is what is restored from, for people.
func (in *Input) source() string {
	if IsFromRepository(in.Restore) {
		return SourceOf(in.Restore)
	}
	return "VolumeBackup " + in.Backup.Name
}

// held are the claims that the backup holds.
func (in *Input) held() []string {
	var held []string
	for _, v := range in.Backup.Status.Volumes {
		held = append(held, v.ClaimName)
	}
	return held
}

// chosen are the volumes of the backup that are asked for.
func (in *Input) chosen() []v1alpha1.VolumeStatus {
	sel := in.Restore.Spec.Volumes
	return slices.DeleteFunc(slices.Clone(in.Backup.Status.Volumes), func(v v1alpha1.VolumeStatus) bool {
		isLeft := len(sel.Include) > 0 && !slices.Contains(sel.Include, v.ClaimName)
		return isLeft || slices.Contains(sel.Exclude, v.ClaimName)
	})
}

// newName is the name of a new claim: the one asked for, else one that follows
// from the restore.
func (in *Input) newName(claim, mounted string) string {
	if asked := in.Restore.Spec.Target.Claims[claim]; asked != "" {
		return string(asked)
	}
	return RestoredClaimName(originalOf(mounted, in.Claims[mounted]), in.Restore.UID, claim)
}

// mountedAs finds under which name the application mounts a claim of the
// backup: under the same, or under that of an earlier restore's copy.
func (in *Input) mountedAs(strategy v1alpha1.RestoreStrategy, claim string) (string, bool) {
	wanted := in.wanted(strategy, claim)
	if in.Workload.MayMount(wanted) { // a StatefulSet that was scaled down since still owns the claims
		return wanted, true
	}
	original := originalOf(wanted, in.Claims[wanted])
	for _, name := range in.mounted {
		if originalOf(name, in.Claims[name]) == original {
			return name, true
		}
	}
	return "", false
}

// wanted is the claim that the one of the backup is to take the place of: the
// one that is asked for, or that of the same replica of another StatefulSet.
func (in *Input) wanted(strategy v1alpha1.RestoreStrategy, claim string) string {
	if asked := in.Restore.Spec.Target.Claims[claim]; asked != "" && strategy == v1alpha1.StrategyReplace {
		return string(asked)
	}
	if from := in.Backup.Spec.ApplicationRef; from.Kind == v1alpha1.KindStatefulSet && from.Name != in.Workload.Ref.Name {
		if name, ok := in.Workload.SameReplica(claim, from.Name); ok {
			return name
		}
	}
	return claim
}

func isOwnedBy(obj metav1.Object, kind string) (name string, ok bool) {
	owner := metav1.GetControllerOfNoCopy(obj)
	if owner == nil || owner.Kind != kind {
		return "", false
	}
	return owner.Name, true
}
