package restore

import (
	"fmt"
	"iter"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/rules"
	"github.com/lull-dev/lull/snapshot/workload"
)

// Observed is what is there of a restore at one moment.
type Observed struct {
	// Workload is nil where there is none, or none is touched.
	Workload *workload.Workload
	// Pods of the workload that aren't gone.
	Pods []corev1.Pod
	// Finished are pods of the workload that have ended and are left behind.
	Finished []corev1.Pod
	// Others are pods of the namespace that don't belong to the workload.
	Others []corev1.Pod
	// Claims of the namespace that the restore or one of its volumes names, by
	// name.
	Claims map[string]*corev1.PersistentVolumeClaim
	// Volumes that the restore names or its claims are bound to, by name.
	Volumes map[string]*corev1.PersistentVolume
	// Snapshots that claims are made of, by name. They are read while that is so.
	Snapshots map[string]*snapshotv1.VolumeSnapshot
	// MountChecks are the restore's mount check pods, by name.
	MountChecks map[string]*corev1.Pod
	// Rules of the namespace, and Model, the workload whose claims alone are made.
	// They are read while there are mount check pods to be made.
	Rules rules.Rules
	Model *workload.Workload
	// Complaint is the newest warning about what the mount check waits for,
	// empty where there is none.
	Complaint string
	// FailedMounts says how often the kubelet has told of the application's pods
	// that it can't mount their volumes, by the pod's name. It is read while the
	// application starts.
	FailedMounts map[string]int
	// Autoscalers of the namespace. They are read before the application is
	// stopped.
	Autoscalers []autoscalingv2.HorizontalPodAutoscaler
	// Refused is what the API server refuses of the changes ahead, by a dry run.
	// It is nil where it refuses none, and before it was asked.
	Refused *v1alpha1.Problem
	// Filling is what the filling of the claims by movers waits for, empty
	// where they are filled. It is observed when it is that step's turn.
	Filling []string
	// QuietedBy is the name of the backup that has the application quieted, empty
	// where none has and before it was looked for.
	QuietedBy string
}

// State is a restore and what is there of it at one moment: all that is decided
// by. Nothing that decides changes it.
type State struct {
	Restore *v1alpha1.VolumeRestore
	Observed
	Now time.Time
	// ClaimTimeout is how long the new claims may take, before anything is
	// stopped.
	ClaimTimeout time.Duration
	// FillTimeout is how long they may take to be filled by movers.
	FillTimeout time.Duration
	// Image of the mount check pods, and what they ask for.
	Image     string
	Resources corev1.ResourceRequirements
}

// claims are the claims of the restore.
func (s *State) claims() iter.Seq[*v1alpha1.RestoredClaim] {
	return func(yield func(*v1alpha1.RestoredClaim) bool) {
		for i := range s.Restore.Status.Claims {
			if !yield(&s.Restore.Status.Claims[i]) {
				return
			}
		}
	}
}

// every is true where something holds for each claim of the restore.
func (s *State) every(holds func(*v1alpha1.RestoredClaim) bool) bool {
	for c := range s.claims() {
		if !holds(c) {
			return false
		}
	}
	return true
}

func (s *State) holds(condition string) bool { return holds(s.Restore, condition) }

// condition is nil where it isn't set.
func (s *State) condition(kind string) *metav1.Condition {
	return meta.FindStatusCondition(s.Restore.Status.Conditions, kind)
}

func holds(r *v1alpha1.VolumeRestore, condition string) bool {
	return meta.IsStatusConditionTrue(r.Status.Conditions, condition)
}

// isStopped is true where the application has no replicas.
func (s *State) isStopped() bool { return s.Workload == nil || s.Workload.Replicas == 0 }

// isGone is true for an application that was deleted, or made anew.
func (s *State) isGone() bool {
	return s.Workload == nil || s.Workload.Meta.UID != s.Restore.Status.ApplicationUID
}

// heldVolume is the volume that a claim has, empty where it has none. The name
// in its spec is what its owner wishes: it may be anybody's volume.
func heldVolume(claim *corev1.PersistentVolumeClaim) string {
	if claim == nil || claim.Status.Phase != corev1.ClaimBound {
		return ""
	}
	return claim.Spec.VolumeName
}

// isGoing is true for a claim that is being deleted.
func isGoing(claim *corev1.PersistentVolumeClaim) bool {
	return claim != nil && !claim.DeletionTimestamp.IsZero()
}

// madeBy is true for a claim that the restore made.
func madeBy(r *v1alpha1.VolumeRestore, claim *corev1.PersistentVolumeClaim) bool {
	return claim.Labels[v1alpha1.LabelRestoreUID] == string(r.UID)
}

// Ended is true for a restore that has nothing more to do by itself.
func Ended(r *v1alpha1.VolumeRestore) bool {
	if r.Status.RollBack != nil && r.Status.RollBack.EndedAt == nil {
		return false
	}
	return holds(r, v1alpha1.ConditionComplete) || holds(r, v1alpha1.ConditionFailed)
}

// IsOf is true for a restore of that application, or of that claim.
func IsOf(r *v1alpha1.VolumeRestore, application v1alpha1.ApplicationReference) bool {
	if r.Status.Application != nil && *r.Status.Application == application {
		return true
	}
	if application.Kind != v1alpha1.KindPersistentVolumeClaim {
		return false
	}
	for _, c := range r.Status.Claims {
		if c.PreviousClaim == application.Name || c.RestoredClaim == application.Name {
			return true
		}
	}
	return false
}

func applicationName(ref *v1alpha1.ApplicationReference) string {
	if ref == nil {
		return "the application"
	}
	return fmt.Sprintf("%s %s", ref.Kind, ref.Name)
}

// IsUsedByOthers is true where a pod of another application mounts, or waits to
// mount, a claim of the restore.
func (s *State) IsUsedByOthers() bool {
	for i := range s.Others {
		for _, claim := range workload.ClaimsOf(&s.Others[i]) {
			if _, isOurs := s.Claims[claim]; isOurs {
				return true
			}
		}
	}
	return false
}
