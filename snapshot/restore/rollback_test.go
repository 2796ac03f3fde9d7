package restore

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestIsRollBackAsked(t *testing.T) {
	now := metav1.NewMicroTime(now)
	underWay := &v1alpha1.RollBackStatus{Reason: v1alpha1.ReasonRollBackAsked}
	ended := &v1alpha1.RollBackStatus{Reason: v1alpha1.ReasonRollBackAsked, EndedAt: &now}
	byItself := &v1alpha1.RollBackStatus{Reason: v1alpha1.ReasonReadyTimeout, EndedAt: &now}
	const here, before = 3, 1 // generations
	for name, c := range map[string]struct {
		asks     bool
		rollBack *v1alpha1.RollBackStatus
		// answer of RolledBack, at that generation; empty for none.
		answer     metav1.ConditionStatus
		generation int64
		reason     string
		want       bool
	}{
		"nothing":                            {false, nil, "", 0, "", false},
		"it":                                 {true, nil, "", 0, "", true},
		"it, refused":                        {true, nil, metav1.ConditionFalse, here, "", false},
		"it, refused before":                 {true, nil, metav1.ConditionFalse, before, "", true},
		"it, under way":                      {true, underWay, metav1.ConditionFalse, before, "", false},
		"it, done":                           {true, ended, metav1.ConditionTrue, before, "", false},
		"it, failed":                         {true, ended, metav1.ConditionFalse, here, "", false},
		"it again, failed before":            {true, ended, metav1.ConditionFalse, before, "", true},
		"it, failed by itself":               {true, byItself, metav1.ConditionFalse, here, v1alpha1.ReasonRollBackFailed, true},
		"it, failed by itself, then refused": {true, byItself, metav1.ConditionFalse, here, v1alpha1.ReasonChangeRefused, false},
		"it again, refused before, failed by itself": {true, byItself, metav1.ConditionFalse, before, v1alpha1.ReasonChangeRefused, true},
		"it, done by itself":                         {true, byItself, metav1.ConditionTrue, before, "", false},
		"nothing, failed by itself":                  {false, byItself, metav1.ConditionFalse, here, "", false},
		"nothing any more, refused before":           {false, nil, metav1.ConditionFalse, before, "", false},
		"nothing any more, failed as asked":          {false, ended, metav1.ConditionFalse, before, "", false},
	} {
		v := &v1alpha1.VolumeRestore{}
		v.Generation, v.Spec.RollBack, v.Status.Strategy, v.Status.RollBack = here, c.asks, v1alpha1.StrategyReplace, c.rollBack
		if c.answer != "" {
			v.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionRolledBack, Status: c.answer, ObservedGeneration: c.generation, Reason: c.reason}}
		}
		if got := IsRollBackAsked(v); got != c.want {
			t.Errorf("asks for %s: %t", name, got)
		}
	}
}

func TestMayRollBack(t *testing.T) {
	type change = func(*State)
	completed := func(s *State) {
		goingBack(s, true)
		s.Restore.Status.RollBack, s.Restore.Status.CompletionTime = nil, &metav1.Time{Time: now}
		setTrue(&s.Restore.Status, v1alpha1.ConditionComplete)
		s.Volumes["pv-old"].Labels = map[string]string{v1alpha1.LabelRestoreUID: "r-uid"}
	}
	onRestored := func(s *State) {
		completed(s)
		delete(s.Claims, "t")
		s.Claims["data"].Spec.VolumeName = "pv-new"
		s.Workload.ClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "x"}}}
		s.Workload.Template = templateOf("data")
	}
	repointed := func(s *State) { completed(s); leads(&s.Observed, [2]string{"v-data", "new"}) }
	elsewhere := func(s *State) { completed(s); leads(&s.Observed, [2]string{"v-data", "later"}) }
	and := func(first, then change) change { return func(s *State) { first(s); then(s) } }
	for name, c := range map[string]struct {
		repoints bool
		change   change
		others   []v1alpha1.VolumeRestore
		want     string
	}{
		"only claims were made":   {false, func(s *State) { s.Restore.Status.Strategy = v1alpha1.StrategyClaimsOnly }, nil, v1alpha1.ReasonNothingToRollBack},
		"nothing was stopped":     {false, func(s *State) { delete(s.Volumes, "pv-old") }, nil, ""},
		"all is there":            {false, onRestored, nil, ""},
		"the volume is gone":      {false, and(onRestored, func(s *State) { delete(s.Volumes, "pv-old") }), nil, v1alpha1.ReasonPreviousGone},
		"the volume is made anew": {false, and(onRestored, func(s *State) { s.Restore.Status.Claims[0].PreviousVolumeUID = "uid-of-old" }), nil, v1alpha1.ReasonPreviousGone},
		"another namespace's": {false, and(onRestored, func(s *State) {
			s.Volumes["pv-old"].Spec.ClaimRef = &corev1.ObjectReference{Namespace: "bank", Name: "vault"}
		}), nil, v1alpha1.ReasonPreviousGone},
		"an earlier namespace's": {false, and(onRestored, func(s *State) {
			s.Volumes["pv-old"].Labels, s.Volumes["pv-old"].Spec.ClaimRef.UID = nil, "uid-of-nobody"
		}), nil, v1alpha1.ReasonPreviousGone},
		"the volume goes":           {false, and(onRestored, func(s *State) { s.Volumes["pv-old"].DeletionTimestamp = ptr.To(metav1.NewTime(now)) }), nil, v1alpha1.ReasonPreviousGone},
		"the volume is another's":   {false, and(onRestored, func(s *State) { strangers(s, "pv-old") }), nil, v1alpha1.ReasonPreviousGone},
		"it was another's":          {false, and(onRestored, func(s *State) { strangers(s, "pv-old"); delete(s.Claims, "stranger") }), nil, ""},
		"the claim is gone":         {true, and(repointed, func(s *State) { delete(s.Claims, "data") }), nil, ""},
		"the claim goes":            {true, and(repointed, func(s *State) { going(s, "data") }), nil, ""},
		"the claim goes, held":      {true, and(repointed, func(s *State) { going(s, "data"); s.Others = aPodOf("data", "job") }), nil, v1alpha1.ReasonPreviousGone},
		"there was no volume":       {false, and(onRestored, func(s *State) { s.Restore.Status.Claims[0].PreviousVolume = "" }), nil, v1alpha1.ReasonNothingToRollBack},
		"another's pod mounts it":   {false, and(onRestored, func(s *State) { s.Others = []corev1.Pod{{Spec: aPodSpec("n", "data")}} }), nil, v1alpha1.ReasonClaimInUse},
		"a rollout is held back":    {true, and(repointed, func(s *State) { s.Workload.HasHeldRollout = true }), nil, v1alpha1.ReasonRolloutPaused},
		"repointed":                 {true, repointed, nil, ""},
		"repointed by somebody":     {true, elsewhere, nil, v1alpha1.ReasonSuperseded},
		"replaced by somebody":      {false, and(onRestored, func(s *State) { s.Claims["data"].Spec.VolumeName = "pv-x" }), nil, v1alpha1.ReasonSuperseded},
		"repointed by a later one":  {true, elsewhere, []v1alpha1.VolumeRestore{aLater(time.Hour)}, ""},
		"an earlier one gave that":  {true, elsewhere, []v1alpha1.VolumeRestore{aLater(-time.Hour)}, v1alpha1.ReasonSuperseded},
		"not complete, and changed": {true, and(elsewhere, func(s *State) { s.Restore.Status.Conditions = nil }), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := aReplacement(nil)
			if c.repoints {
				s = aRepointing(nil)
			}
			c.change(s)
			got := ""
			if p := MayRollBack(s, c.others); p != nil {
				got = p.Reason
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// strangers has a volume that was given to another claim.
func strangers(s *State, volume string) {
	claim := aClaim("stranger", volume, "1Gi")
	claim.UID = "uid-of-stranger"
	s.Claims["stranger"] = claim
	s.Volumes[volume].Spec.ClaimRef = &corev1.ObjectReference{Name: "stranger", UID: claim.UID}
}

// aLater is another restore, complete so long after now, that gave the
// application the claim later.
func aLater(after time.Duration) v1alpha1.VolumeRestore {
	v := v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{UID: "later"}}
	v.Status.Strategy, v.Status.CompletionTime = v1alpha1.StrategyRepoint, &metav1.Time{Time: now.Add(after)}
	v.Status.Claims = []v1alpha1.RestoredClaim{{RestoredClaim: "later"}}
	setTrue(&v.Status, v1alpha1.ConditionComplete)
	return v
}

func TestWaitsFor(t *testing.T) {
	app := v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: "db"}
	mine := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Name: "mine", UID: "mine", CreationTimestamp: metav1.NewTime(now)}}
	const waits = "waits for VolumeRestore other of the same application"
	for name, c := range map[string]struct {
		change func(*v1alpha1.VolumeRestore)
		of     *v1alpha1.ApplicationReference
		want   string
	}{
		"an older one":                  {func(v *v1alpha1.VolumeRestore) { v.CreationTimestamp = metav1.NewTime(now.Add(-time.Hour)) }, &app, waits},
		"one of the same age":           {func(*v1alpha1.VolumeRestore) {}, &app, ""},
		"a younger one":                 {func(v *v1alpha1.VolumeRestore) { v.CreationTimestamp = metav1.NewTime(now.Add(time.Hour)) }, &app, ""},
		"one at work":                   {func(v *v1alpha1.VolumeRestore) { v.Status.Strategy = v1alpha1.StrategyReplace }, &app, waits},
		"one at work elsewhere":         {func(v *v1alpha1.VolumeRestore) { v.Status.Strategy = v1alpha1.StrategyReplace }, &v1alpha1.ApplicationReference{}, ""},
		"one whose backup is gone":      {func(v *v1alpha1.VolumeRestore) { v.Status.Strategy = v1alpha1.StrategyReplace }, nil, ""},
		"one that only makes claims":    {func(v *v1alpha1.VolumeRestore) { v.Status.Strategy = v1alpha1.StrategyClaimsOnly }, &app, ""},
		"one that has ended":            {func(v *v1alpha1.VolumeRestore) { *v = aLater(0); v.Name = "other" }, &app, ""},
		"one that is to be undone then": {func(v *v1alpha1.VolumeRestore) { *v = aLater(0); v.Name, v.Spec.RollBack = "other", true }, &app, waits},
	} {
		other := v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Name: "other", UID: "other", CreationTimestamp: metav1.NewTime(now)}}
		c.change(&other)
		of := func(*v1alpha1.VolumeRestore) *v1alpha1.ApplicationReference { return c.of }
		if got := WaitsFor(mine, app, []v1alpha1.VolumeRestore{*mine, other}, of); got != c.want {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// What can't go on is called off while the application has what it ran on.
func TestMayCallOff(t *testing.T) {
	onRestored := func(change func(*State)) *State {
		s := aReplacement(func(status *v1alpha1.VolumeRestoreStatus, o *Observed) {
			status.ScaledDownAt = &metav1.MicroTime{Time: now}
			status.RollBack = &v1alpha1.RollBackStatus{Reason: v1alpha1.ReasonReadyTimeout}
			o.Claims["data"].Spec.VolumeName = "pv-new"
		})
		if change != nil {
			change(s)
		}
		return s
	}
	for name, c := range map[string]struct {
		change func(*State)
		want   bool
	}{
		"it has its restored volumes": {nil, true},
		"a claim is going":            {func(s *State) { s.Claims["data"].DeletionTimestamp = &metav1.Time{Time: now} }, false},
		"a claim is gone":             {func(s *State) { delete(s.Claims, "data") }, false},
		"it has the previous volume":  {func(s *State) { s.Claims["data"].Spec.VolumeName = "pv-old" }, false},
		"nothing was stopped":         {func(s *State) { s.Restore.Status.ScaledDownAt = nil }, false},
		"it is gone":                  {func(s *State) { s.Workload = nil }, false},
		"it had no volume":            {func(s *State) { s.Restore.Status.Claims[0].PreviousVolume = "" }, false},
		"it is called off already":    {func(s *State) { s.Restore.Status.RollBack.CalledOff = &v1alpha1.CalledOff{} }, false},
	} {
		if got := MayCallOff(onRestored(c.change)); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	off := onRestored(func(s *State) {
		s.Restore.Status.RollBack.CalledOff = &v1alpha1.CalledOff{Reason: v1alpha1.ReasonAPIError, Message: "the policy says no"}
		s.Workload.Replicas, s.Restore.Status.Replicas, s.Pods = 0, ptr.To[int32](1), nil
	})
	if got := Next(off); got.Name != StepScaleUp || CallOff(off).Message != "the policy says no" {
		t.Errorf("next is %s", got.Name)
	}
}
