package restore

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// others are volumes that a forged status may name.
var others = map[string]func(*corev1.PersistentVolume){
	"of a claim of another namespace": func(v *corev1.PersistentVolume) {
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "bank", Name: "data", UID: "uid-of-data"}
	},
	"reserved for another namespace, with our label": func(v *corev1.PersistentVolume) {
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "bank", Name: "data"}
		v.Labels = map[string]string{v1alpha1.LabelRestoreUID: "r-uid"}
	},
	"released by an earlier namespace of this name": func(v *corev1.PersistentVolume) {
		v.Spec.ClaimRef = &corev1.ObjectReference{Name: "data", UID: "uid-of-nobody"}
	},
	"kept by another restore": func(v *corev1.PersistentVolume) {
		v.Spec.ClaimRef = &corev1.ObjectReference{Name: "data", UID: "uid-of-nobody"}
		v.Labels = map[string]string{v1alpha1.LabelRestoreUID: "another", v1alpha1.LabelPrevious: "true"}
	},
	"of nobody": func(v *corev1.PersistentVolume) { v.Spec.ClaimRef = nil },
}

var stamp = &metav1.MicroTime{Time: now}

// ways are where a restore may be, whose status somebody has written.
var ways = map[string]func(*State){
	"forward": func(*State) {},
	"down":    func(s *State) { s.Restore.Status.ScaledDownAt, s.Workload.Replicas, s.Pods = stamp, 0, nil },
	"ready": func(s *State) {
		s.Restore.Status.ScaledDownAt, s.Restore.Status.ScaledUpAt = stamp, stamp
		s.Restore.Spec.PreviousClaims = v1alpha1.PreviousDelete
	},
	"back, nothing was stopped": func(s *State) { s.Restore.Status.RollBack = &v1alpha1.RollBackStatus{StartedAt: *stamp} },
	"back":                      func(s *State) { goingBack(s, true) },
}

// Whatever a status says, and wherever the restore is, a volume of others stays as
// it is.
func TestAForgedStatusChangesNoVolumeOfOthers(t *testing.T) {
	needs := map[string]func(*State) Need{
		"keep": (*State).keepVolumes, "reserve": (*State).reserveVolumes, "swap": (*State).swap, "release": (*State).release,
		"discard": (*State).discard, "call off": (*State).releaseCurrent,
		"ask": func(s *State) Need { return Need{Changes: ChangesAhead(s)} },
	}
	for of, strategy := range map[string]func() *State{
		"Replace": func() *State { return aReplacement(nil) }, "Repoint": func() *State { return aRepointing(nil) },
	} {
		for who, theirs := range others {
			for _, volume := range []string{"pv-old", "pv-new"} {
				for where, way := range ways {
					for step, need := range needs {
						s := strategy()
						s.Restore.Status.Replicas = ptr.To[int32](1)
						s.Restore.Status.Claims[0].PreviousPolicy, s.Restore.Status.Claims[0].RestoredPolicy = "Recycle", "Recycle"
						theirs(s.Volumes[volume])
						way(s)
						for _, c := range need(s).Changes {
							if strings.HasSuffix(c.String(), "PersistentVolume "+volume) {
								t.Errorf("%s, %s, %s: a volume %s is changed: %s", of, where, step, who, c)
							}
						}
					}
				}
			}
		}
	}
}

// A way back that would take such a volume says so.
func TestAVolumeOfOthersIsntTaken(t *testing.T) {
	s := aReplacement(nil)
	kept(s)
	backDown(s)
	s.Volumes["pv-old"].Spec.ClaimRef.UID, s.Volumes["pv-old"].Labels = "uid-of-nobody", nil
	need := s.swap()
	expectNeed(t, need, "", "", v1alpha1.ReasonVolumeNotOwned)
	if !strings.Contains(need.Problem.Message, "kubectl label pv pv-old lull.dev/restore-uid=r-uid --overwrite") {
		t.Errorf("it doesn't say what to do: %s", need.Problem.Message)
	}
}

// One of the same name that was made anew, with other data, isn't the one on record.
func TestAVolumeIsKnownByItsUID(t *testing.T) {
	s := aReplacement(nil)
	kept(s)
	backDown(s)
	s.Claims["data"].Spec.VolumeName = "pv-old"
	if !s.isSwappedBack() || LeadsElsewhere(s) != "" {
		t.Errorf("it has its previous volume: %s", LeadsElsewhere(s))
	}
	s.Restore.Status.Claims[0].PreviousVolumeUID = "uid-of-the-old-one"
	if s.isSwappedBack() || LeadsElsewhere(s) != "claim data of PersistentVolume pv-old" {
		t.Errorf("another volume counts as the previous one: %s", LeadsElsewhere(s))
	}
	expectNeed(t, s.swap(), "", "", v1alpha1.ReasonPreviousGone)

	s = beforeTheStop(func(s *State) { s.Restore.Status.Claims[0].RestoredVolumeUID = "uid-of-the-new-one" })
	if need := checkNewClaims(s); need.Problem == nil || need.Problem.Reason != v1alpha1.ReasonClaimNotFound {
		t.Errorf("another volume counts as the restored one: %+v", need)
	}
}
