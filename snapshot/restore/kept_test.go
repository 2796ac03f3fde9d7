package restore

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

func TestIsReleaseAsked(t *testing.T) {
	answered := func(status metav1.ConditionStatus, generation int64) func(*v1alpha1.VolumeRestore) {
		return func(v *v1alpha1.VolumeRestore) {
			v.Status.Conditions = append(v.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionPreviousReleased, Status: status, ObservedGeneration: generation})
		}
	}
	for name, c := range map[string]struct {
		change func(*v1alpha1.VolumeRestore)
		want   bool
	}{
		"asked":                      {func(*v1alpha1.VolumeRestore) {}, true},
		"not asked":                  {func(v *v1alpha1.VolumeRestore) { v.Spec.ReleasePrevious = false }, false},
		"before its end":             {func(v *v1alpha1.VolumeRestore) { v.Status.Conditions = nil }, false},
		"while it is undone":         {func(v *v1alpha1.VolumeRestore) { v.Status.RollBack = &v1alpha1.RollBackStatus{} }, false},
		"a way back is asked for":    {func(v *v1alpha1.VolumeRestore) { v.Spec.RollBack = true }, false},
		"nothing was restored":       {func(v *v1alpha1.VolumeRestore) { v.Status.Strategy = "" }, false},
		"let go":                     {answered(metav1.ConditionTrue, 1), false},
		"refused":                    {answered(metav1.ConditionFalse, 3), false},
		"refused before, asked anew": {answered(metav1.ConditionFalse, 1), true},
	} {
		v := &v1alpha1.VolumeRestore{}
		v.Generation, v.Spec.ReleasePrevious, v.Status.Strategy = 3, true, v1alpha1.StrategyReplace
		setTrue(&v.Status, v1alpha1.ConditionComplete)
		c.change(v)
		if got := IsReleaseAsked(v); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// What is let go of a restore that is complete: by Replace its previous volume has no
// claim any more, by Repoint it has.
func TestReleasePrevious(t *testing.T) {
	replaced := func() *State {
		s := aReplacement(nil)
		kept(s)
		delete(s.Claims, "t")
		s.Claims["data"] = aClaim("data", "pv-new", "1Gi")
		s.Claims["data"].UID, s.Volumes["pv-new"].Labels = "uid-of-new", nil
		s.Volumes["pv-new"].Spec.ClaimRef = &corev1.ObjectReference{Name: "data", UID: "uid-of-new"}
		return s
	}
	repointed := func() *State {
		s := aRepointing(func(_ *v1alpha1.VolumeRestore, o *Observed) { leads(o, [2]string{"v-data", "new"}) })
		kept(s)
		s.Volumes["pv-new"].Labels = nil
		s.Claims["data"].Labels = map[string]string{v1alpha1.LabelPrevious: "true"}
		return s
	}
	const letGo = "patch PersistentVolume pv-old, delete PersistentVolumeClaim data"
	for name, c := range map[string]struct {
		of            func() *State
		change        func(*State)
		workloads     []workload.Workload
		changes, says string
	}{
		"by Replace": {of: replaced, changes: "patch PersistentVolume pv-old"},
		"by Repoint": {of: repointed, changes: letGo},
		"its claim is left": {of: repointed, changes: "delete PersistentVolumeClaim data", change: func(s *State) {
			s.Volumes["pv-old"].Labels, s.Volumes["pv-old"].Spec.PersistentVolumeReclaimPolicy = nil, "Delete"
		}},
		"it is gone":                 {of: replaced, change: func(s *State) { delete(s.Volumes, "pv-old") }},
		"it isn't marked":            {of: replaced, change: func(s *State) { delete(s.Volumes["pv-old"].Labels, v1alpha1.LabelPrevious) }},
		"another restore keeps it":   {of: repointed, change: func(s *State) { s.Volumes["pv-old"].Labels[v1alpha1.LabelRestoreUID] = "later" }},
		"it is another namespace's":  {of: replaced, change: func(s *State) { s.Volumes["pv-old"].Spec.ClaimRef.Namespace = "bank" }},
		"the template mounts it":     {of: repointed, change: func(s *State) { leads(&s.Observed, [2]string{"v-data", "data"}) }, workloads: []workload.Workload{*mounting("data")}, says: "Deployment other mounts its PersistentVolumeClaim data"},
		"a pod of another has it":    {of: repointed, change: func(s *State) { s.Others = aPodOf("data", "job") }, says: "pod job mounts its PersistentVolumeClaim data"},
		"a pod of its own has it":    {of: repointed, change: func(s *State) { s.Pods = aPodOf("data", "db-0") }, says: "pod db-0 mounts"},
		"a pod waits for a node":     {of: repointed, change: func(s *State) { s.Others = aPodOf("data", "job"); s.Others[0].Spec.NodeName = "" }, says: "pod job mounts"},
		"a workload at zero has it":  {of: repointed, workloads: []workload.Workload{*mounting("data")}, says: "Deployment other mounts"},
		"another workload":           {of: repointed, workloads: []workload.Workload{*mounting("x")}, changes: letGo},
		"somebody has given it away": {of: repointed, change: func(s *State) { s.Claims["data"].Labels = nil }, says: "somebody has given it to PersistentVolumeClaim data"},
	} {
		s := c.of()
		if c.change != nil {
			c.change(s)
		}
		changes, _, p := ReleasePrevious(s, c.workloads)
		if p != nil && (c.says == "" || !strings.Contains(p.Message, c.says)) || p == nil && c.says != "" || listed(changes) != c.changes {
			t.Errorf("%s: got %s: %v", name, listed(changes), p)
		}
		for _, change := range changes {
			if v, isVolume := change.After.(*corev1.PersistentVolume); isVolume && v.Spec.PersistentVolumeReclaimPolicy != "Delete" {
				t.Errorf("%s: it keeps the policy %s", name, v.Spec.PersistentVolumeReclaimPolicy)
			}
		}
	}
}

// mounting is another Deployment, whose template mounts a claim.
func mounting(claim string) *workload.Workload {
	return &workload.Workload{Ref: v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: "other"}, Template: templateOf(claim)}
}

func TestNoMoreIsKeptThanAllowed(t *testing.T) {
	marked := func(n int) (all []corev1.PersistentVolume) {
		for range n {
			all = append(all, corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.LabelRestore: "monday"}}})
		}
		return all
	}
	for name, c := range map[string]struct {
		kept, most int
		deletes    bool
		refused    bool
	}{
		"no bound":                  {kept: 100},
		"room for it":               {kept: 2, most: 3},
		"none left":                 {kept: 3, most: 3, refused: true},
		"none left, and keeps none": {kept: 3, most: 3, deletes: true},
	} {
		in := aRestorable(nil)
		in.Kept, in.MaxKept = marked(c.kept), c.most
		if c.deletes {
			in.Restore.Spec.PreviousClaims = v1alpha1.PreviousDelete
		}
		res, err := Resolve(in)
		if refused := err != nil; refused != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		if c.refused && !strings.Contains(err.Error(), "restores keep 3 volume(s) in namespace shop by VolumeRestore monday, this one would keep 1 more, and at most 3 are kept") {
			t.Errorf("%s: it says %v", name, err)
		}
		if want := 1; err == nil && !c.deletes && res.Keeps != want {
			t.Errorf("%s: keeps %d, not %d", name, res.Keeps, want)
		}
	}
}
