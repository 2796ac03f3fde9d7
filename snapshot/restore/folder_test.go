package restore

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// intoFolder has a restore copy a path into a folder of a claim that is there.
func intoFolder(in *Input) {
	ofPaths(in)
	in.Restore.Spec.Target.TargetPath = "/restored"
	for _, claim := range in.Claims {
		claim.Status.Phase = corev1.ClaimBound
	}
}

func aUser(name, claim string, change func(*corev1.Pod)) corev1.Pod {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: templateOf(claim).Spec}
	if change != nil {
		change(&pod)
	}
	return pod
}

func TestResolveAFolder(t *testing.T) {
	named := func(in *Input) {
		in.Claims["uploads"] = aClaim("uploads", "pv-u", "1Gi")
		in.Restore.Spec.Target.Claims = map[string]v1alpha1.ClaimName{"data": "uploads"}
	}
	finished := func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodSucceeded }
	mover := func(pod *corev1.Pod) {
		pod.Labels = map[string]string{v1alpha1.LabelRestoreUID: "r-uid"}
	}
	for name, c := range map[string]struct {
		change func(*Input)
		into   string
	}{
		"of the claim that was backed up":  {func(*Input) {}, "data"},
		"of another claim":                 {named, "uploads"},
		"of one whose class is gone":       {func(in *Input) { delete(in.Classes, ""); in.Claims["data"].Spec.StorageClassName = ptr.To("gone") }, "data"},
		"that a pod has used":              {func(in *Input) { in.Pods = []corev1.Pod{aUser("job-1", "data", finished)} }, "data"},
		"that only its own mover uses":     {func(in *Input) { in.Pods = []corev1.Pod{aUser("copy-1", "data", mover)} }, "data"},
		"while pods use another claim":     {func(in *Input) { in.Pods = []corev1.Pod{aUser("other", "logs", nil)} }, "data"},
		"of one smaller than the snapshot": {func(in *Input) { in.Claims["data"] = aClaim("data", "pv-old", "1Mi") }, "data"},
	} {
		res, err := Resolve(aRestorable(func(in *Input) { c.change(in); intoFolder(in) }))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		claim := res.Claims[0]
		if claim.RestoredClaim != c.into || claim.MountCheckPod != "" || claim.TemporaryClaim != "" || claim.Fill == nil || claim.Fill.Clone == nil {
			t.Errorf("%s: %+v", name, claim)
		}
	}
}

func TestFoldersThatCantBe(t *testing.T) {
	for says, change := range map[string]func(*Input){
		`there is no PersistentVolumeClaim "none" to write into: name one by spec.target.claims: {data: ...}`: func(in *Input) {
			in.Restore.Spec.Target.Claims = map[string]v1alpha1.ClaimName{"data": "none"}
		},
		"data, which is to be written into, is being deleted": func(in *Input) {
			in.Claims["data"].DeletionTimestamp = &metav1.Time{Time: time.Now()}
		},
		"data, which is to be written into, has no volume yet": func(in *Input) { in.Claims["data"].Status.Phase = corev1.ClaimPending },
		"data is a device of raw blocks, which has no folders": func(in *Input) { in.Claims["data"].Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock) },
		"data is mounted by mysql-0, and nobody may use it":    func(in *Input) { in.Pods = []corev1.Pod{aUser("mysql-0", "data", nil)} },
		"both be written into folder /restored of PersistentVolumeClai": func(in *Input) {
			in.Backup.Status.Volumes = append(in.Backup.Status.Volumes, v1alpha1.VolumeStatus{ClaimName: "logs", SnapshotName: "s", Driver: "d", ReadyToUse: true})
			in.Restore.Spec.Target.Claims = map[string]v1alpha1.ClaimName{"logs": "data"}
		},
	} {
		_, err := Resolve(aRestorable(func(in *Input) { intoFolder(in); change(in) }))
		var problem *v1alpha1.Problem
		if !errors.As(err, &problem) || !strings.Contains(problem.Message, says) {
			t.Errorf("%v doesn't say %q", err, says)
		}
	}
}

// A claim that is there is neither made nor mounted to see that it does, and stays
// whatever becomes of the restore.
func TestAFolderIsFilledAndNothingElse(t *testing.T) {
	s := aReplacement(nil)
	v := s.Restore
	v.Spec.Source.Paths, v.Spec.Target.TargetPath, v.Status.Strategy = []string{"/etc/app.conf"}, "/restored", v1alpha1.StrategyClaimsOnly
	v.Status.Claims = []v1alpha1.RestoredClaim{{ClaimName: "data", RestoredClaim: "data", OriginalClaim: "data", Fill: &v1alpha1.ClaimFill{Clone: &v1alpha1.ClaimShape{}}}}
	v.Status.Source, v.Status.Conditions, s.FillTimeout = "b", nil, time.Hour
	s.Filling = []string{"data: its pod starts"}
	step := Next(s)
	if step.Name != StepFill || s.LacksMountChecks() {
		t.Fatalf("%+v", step)
	}
	v.Status.Step, v.Status.StepSince = string(StepFill), ptr.To(metav1.NewMicroTime(s.Now.Add(-time.Minute)))
	if until := Next(s).Need().Wait.Until; !until.Equal(s.Now.Add(59 * time.Minute)) {
		t.Errorf("it is waited for until %s, at %s", until, s.Now)
	}
	v.Status.RollBack = &v1alpha1.RollBackStatus{Reason: "x", StartedAt: metav1.NewMicroTime(s.Now)}
	for _, step := range Plan(s) {
		if changes := step.Need().Changes; len(changes) > 0 {
			t.Errorf("%s of a restore that failed changes %+v", step.Name, changes)
		}
	}
	v.Status.RollBack = nil
	setTrue(&v.Status, v1alpha1.ConditionClaimsFilled)
	if step := Next(s); step.Name != StepEnd || !strings.Contains(step.What, "the paths are in folder /restored") {
		t.Errorf("after it comes %+v", step)
	}
}
