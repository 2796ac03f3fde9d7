package restore

import (
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// beforeTheStop is a restore by Replace that is about to stop its application.
func beforeTheStop(change func(*State)) *State {
	s := aReplacement(func(status *v1alpha1.VolumeRestoreStatus, o *Observed) {
		status.ApplicationUID = "app"
		o.Workload.Meta.UID, o.Workload.Ref = "app", *status.Application
		keep(o)
		delete(o.Claims, "t")
		o.Volumes["pv-new"].Spec.ClaimRef = &corev1.ObjectReference{Name: "data"}
	})
	if change != nil {
		change(s)
	}
	return s
}

func TestChecks(t *testing.T) {
	mounts := func(s *State) { s.Others = []corev1.Pod{{Spec: aPodSpec("n", "data")}} }
	holds := func(s *State) { s.Claims["data"].Finalizers = []string{"example.com/f"} }
	refuses := func(s *State) {
		s.Refused = v1alpha1.Problemf(v1alpha1.ReasonChangeRefused, "the policy says no")
	}
	quiets := func(s *State) { s.QuietedBy = "nightly" }
	goes := func(s *State) { s.Workload = nil }
	fights := func(s *State) { s.Autoscalers = []autoscalingv2.HorizontalPodAutoscaler{*kedaOf("StatefulSet", "db")} }
	volumeGoes := func(s *State) { s.Volumes["pv-old"].DeletionTimestamp = ptr.To(metav1.NewTime(now)) }
	for name, c := range map[string]struct {
		change func(*State)
		// says is in the problem or in what is waited for, empty where nothing
		// objects.
		says, reason string
		waits        bool
	}{
		"it deletes its claims":         {func(s *State) { s.Workload.DeletesClaims = true }, "whenScaled to Retain, and back afterwards. Then restore again", v1alpha1.ReasonClaimsScaledAway, false},
		"an autoscaler has come":        {fights, "KEDA's ScaledObject keda scales StatefulSet db from zero", v1alpha1.ReasonAutoscalerFights, false},
		"an autoscaler of another":      {func(s *State) { fights(s); s.Autoscalers[0].Spec.ScaleTargetRef.Name = "x" }, "", "", false},
		"the application is going":      {func(s *State) { s.Workload.Meta.DeletionTimestamp = ptr.To(metav1.NewTime(now)) }, "StatefulSet db is being deleted", v1alpha1.ReasonApplicationNotFound, false},
		"nothing":                       {nil, "", "", false},
		"the application is gone":       {goes, "was deleted while it was restored", v1alpha1.ReasonApplicationNotFound, false},
		"the application is another":    {func(s *State) { s.Workload.Meta.UID = "other" }, "was deleted while", v1alpha1.ReasonApplicationNotFound, false},
		"the new volume is gone":        {func(s *State) { delete(s.Volumes, "pv-new") }, "PersistentVolume pv-new", v1alpha1.ReasonClaimNotFound, false},
		"another's pod mounts a claim":  {mounts, "of another application, uses PersistentVolumeClaim data", v1alpha1.ReasonClaimInUse, false},
		"another tool holds a claim":    {holds, "example.com/f and could not be deleted to be replaced: wait until what set it is done, or remove it (kubectl edit pvc -n ", v1alpha1.ReasonClaimHeld, true},
		"a pod waits for a node":        {func(s *State) { mounts(s); s.Others[0].Spec.NodeName = "" }, "may get one once the application is stopped", v1alpha1.ReasonClaimInUse, false},
		"a claim was made anew":         {func(s *State) { s.Claims["data"].Spec.VolumeName = "pv-x" }, "made anew by somebody and is bound to pv-x", v1alpha1.ReasonClaimExists, false},
		"the previous volume goes":      {volumeGoes, "there would be no way back: PersistentVolume pv-old of claim data is being deleted", v1alpha1.ReasonPreviousGone, false},
		"it goes, and isn't to be kept": {func(s *State) { volumeGoes(s); s.Restore.Spec.PreviousClaims = v1alpha1.PreviousDelete }, "", "", false},
		"a policy refuses a change":     {refuses, "the policy says no", v1alpha1.ReasonChangeRefused, false},
		"a backup has it quieted":       {quiets, "waits until VolumeBackup nightly has let the application go", v1alpha1.ReasonBackupUnderWay, true},
		"the first that objects counts": {func(s *State) { quiets(s); refuses(s); holds(s) }, "example.com/f", v1alpha1.ReasonClaimHeld, true},
		"a refusal comes before a wait": {func(s *State) { quiets(s); refuses(s) }, "the policy says no", v1alpha1.ReasonChangeRefused, false},
		"nothing on the way back":       {func(s *State) { goes(s); s.Restore.Status.RollBack = &v1alpha1.RollBackStatus{} }, "", "", false},
		"a pod, once it is stopped":     {func(s *State) { mounts(s); s.Restore.Status.ScaledDownAt = ptr.To(metav1.NewMicroTime(now)) }, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := beforeTheStop(c.change)
			got := Objection(s, Next(s))
			says, reason := "", ""
			if p := got.Problem; p != nil {
				says, reason = p.Message, p.Reason
			}
			if w := got.Wait; w != nil {
				says, reason = w.Message(), w.Reason
			}
			if reason != c.reason || !strings.Contains(says, c.says) || (got.Wait != nil) != c.waits || (c.says == "") != got.IsNothing() {
				t.Errorf("got %s: %q, waits: %v", reason, says, got.Wait != nil)
			}
		})
	}
}

// kedaOf is the autoscaler that KEDA makes for a ScaledObject.
func kedaOf(kind, name string) *autoscalingv2.HorizontalPodAutoscaler {
	h := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "keda-hpa"}}
	h.OwnerReferences = []metav1.OwnerReference{{APIVersion: "keda.sh/v1alpha1", Kind: "ScaledObject", Name: "keda", Controller: ptr.To(true)}}
	h.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{Kind: kind, Name: name}
	return h
}

func aPodSpec(node string, claims ...string) corev1.PodSpec {
	spec := templateOf(claims...).Spec
	spec.NodeName = node
	return spec
}

func TestAHeldClaimIsWaitedForAsLongAsClaimsAre(t *testing.T) {
	s := beforeTheStop(func(s *State) { s.Claims["data"].Finalizers = []string{"example.com/f"} })
	w := checkSwap(s).Wait
	if w.IsLate(now.Add(time.Hour-time.Second)) || !w.IsLate(now.Add(time.Hour)) || w.Problem().Reason != v1alpha1.ReasonClaimHeld {
		t.Errorf("got %+v", w)
	}
	if quieted := checkQuieted(beforeTheStop(func(s *State) { s.QuietedBy = "b" })).Wait; quieted.IsLate(now.Add(1e6 * time.Hour)) {
		t.Error("a backup has limits of its own")
	}
}

func TestChangesAhead(t *testing.T) {
	for name, c := range map[string]struct {
		state *State
		want  string
	}{
		"Replace":                            {beforeTheStop(nil), "patch StatefulSet db, patch StatefulSet db, delete PersistentVolumeClaim data, create PersistentVolumeClaim data, patch PersistentVolume pv-old, create PersistentVolumeClaim data"},
		"Replace, a finished pod of its own": {beforeTheStop(func(s *State) { s.Finished = []corev1.Pod{{Spec: aPodSpec("n", "data")}} }), "patch StatefulSet db, patch StatefulSet db, delete Pod , delete PersistentVolumeClaim data, create PersistentVolumeClaim data, patch PersistentVolume pv-old, create PersistentVolumeClaim data"},
		"Replace, nothing there before": {beforeTheStop(func(s *State) {
			s.Restore.Status.Claims[0].PreviousVolume = ""
			delete(s.Claims, "data")
		}), "patch StatefulSet db, patch StatefulSet db, create PersistentVolumeClaim data"},
		"Repoint":                 {aRepointing(nil), "patch Deployment db, patch Deployment db, patch Deployment db, patch Deployment db"},
		"no application":          {beforeTheStop(func(s *State) { s.Workload = nil }), ""},
		"it is at zero by itself": {beforeTheStop(func(s *State) { s.Workload.Replicas = 0; s.Restore.Status.Claims = nil }), "patch StatefulSet db"},
	} {
		if got := listed(ChangesAhead(c.state)); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// listed are changes for comparison.
func listed(changes []Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, c.String())
	}
	return strings.Join(all, ", ")
}
