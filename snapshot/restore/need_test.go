package restore

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// kept has every volume retained and marked, the previous one as such.
func kept(s *State) { keep(&s.Observed) }

func keep(o *Observed) {
	for _, v := range o.Volumes {
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		v.Labels = map[string]string{v1alpha1.LabelRestoreUID: "r-uid"}
	}
	o.Volumes["pv-old"].Labels[v1alpha1.LabelPrevious] = "true"
}

// goingBack has the restore undone after its application was stopped and, where
// it has run on the new volumes, started again.
func goingBack(s *State, hasRun bool) {
	at := metav1.NewMicroTime(now)
	s.Restore.Status.ScaledDownAt, s.Restore.Status.RollBack = &at, &v1alpha1.RollBackStatus{StartedAt: at}
	if hasRun {
		s.Restore.Status.ScaledUpAt = &at
	}
}

// What each step still needs, and that what it needs is nothing once it is done.
func TestNeeds(t *testing.T) {
	type change = func(*State)
	made := ours("t")
	mountCheck := func(phase corev1.PodPhase, going bool) change {
		return func(s *State) {
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "check"}, Status: corev1.PodStatus{Phase: phase}}
			if going {
				p.DeletionTimestamp = ptr.To(metav1.NewTime(now))
			}
			s.Restore.Status.Claims[0].MountCheckPod = "check"
			s.MountChecks = map[string]*corev1.Pod{"check": p}
		}
	}
	finished := func(s *State) {
		s.Finished = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "done"}, Spec: aPodSpec("n", "data")}}
	}
	both := func(changes ...change) change {
		return func(s *State) {
			for _, c := range changes {
				c(s)
			}
		}
	}
	deletePrevious := func(s *State) { s.Restore.Spec.PreviousClaims = v1alpha1.PreviousDelete }
	for name, c := range map[string]struct {
		// repoints is true for a restore by Repoint: of Deployment db from claim data
		// to new. Others are by Replace.
		repoints bool
		change   change
		need     func(*State) Need
		// changes and waits are what is needed; problem is the reason of one.
		changes, waits, problem string
	}{
		"make claims, none there":       {false, func(s *State) { delete(s.Claims, "t") }, (*State).makeClaims, "create PersistentVolumeClaim t", "", ""},
		"make claims, made":             {false, made, (*State).makeClaims, "", "", ""},
		"make claims, another's":        {false, nil, (*State).makeClaims, "", "", v1alpha1.ReasonClaimExists},
		"check mounts, no pod":          {false, func(s *State) { s.Restore.Status.Claims[0].MountCheckPod = "check" }, (*State).checkMounts, "create Pod check", "bound and mounted", ""},
		"check mounts, it starts":       {false, mountCheck(corev1.PodPending, false), (*State).checkMounts, "", "bound and mounted", ""},
		"check mounts, it can't":        {false, mountCheck(corev1.PodFailed, false), (*State).checkMounts, "", "", v1alpha1.ReasonNotProven},
		"check mounts, not bound":       {false, both(mountCheck(corev1.PodSucceeded, false), func(s *State) { s.Claims["t"].Status.Phase = corev1.ClaimPending }), (*State).checkMounts, "", "bound and mounted", ""},
		"check mounts, done":            {false, mountCheck(corev1.PodSucceeded, false), (*State).checkMounts, "", "", ""},
		"end mount check":               {false, mountCheck(corev1.PodSucceeded, false), (*State).endMountCheck, "delete Pod check", "are gone: check; the application runs", ""},
		"end mount check, it goes":      {false, mountCheck(corev1.PodSucceeded, true), (*State).endMountCheck, "", "are gone: check", ""},
		"end mount check, back":         {false, both(mountCheck(corev1.PodSucceeded, true), func(s *State) { goingBack(s, false) }), (*State).endMountCheck, "", "", ""},
		"keep volumes":                  {false, nil, (*State).keepVolumes, "patch PersistentVolume pv-old, patch PersistentVolume pv-new", "", ""},
		"keep volumes, repoint":         {true, nil, (*State).keepVolumes, "patch PersistentVolume pv-old, patch PersistentVolumeClaim data", "", ""},
		"keep volumes, kept":            {false, kept, (*State).keepVolumes, "", "", ""},
		"keep volumes, gone":            {false, func(s *State) { delete(s.Volumes, "pv-old") }, (*State).keepVolumes, "", "", v1alpha1.ReasonPreviousGone},
		"keep volumes, back":            {false, func(s *State) { goingBack(s, false) }, (*State).keepVolumes, "patch PersistentVolume pv-old", "", ""},
		"keep volumes, back, both":      {true, func(s *State) { goingBack(s, true) }, (*State).keepVolumes, "patch PersistentVolume pv-old, patch PersistentVolume pv-new", "", ""},
		"keep volumes, back, gone":      {true, func(s *State) { goingBack(s, true); delete(s.Volumes, "pv-old") }, (*State).keepVolumes, "", "", v1alpha1.ReasonPreviousGone},
		"reserve volumes":               {false, func(s *State) { kept(s); delete(s.Claims, "t") }, (*State).reserveVolumes, "patch PersistentVolume pv-new", "", ""},
		"reserve volumes, the claim is": {false, nil, (*State).reserveVolumes, "delete PersistentVolumeClaim t", "are gone: t; the application runs", ""},
		"reserve volumes, taken": {false, func(s *State) {
			delete(s.Claims, "t")
			strangers(s, "pv-new")
		}, (*State).reserveVolumes, "", "", v1alpha1.ReasonPreviousGone},
		"scale down":             {false, nil, (*State).scaleDown, "patch StatefulSet db, patch StatefulSet db, patch VolumeBackup b", "", ""},
		"scale down, at zero":    {false, func(s *State) { s.Workload.Replicas = 0 }, (*State).scaleDown, "patch StatefulSet db, patch VolumeBackup b", "", ""},
		"scale down, back":       {false, func(s *State) { goingBack(s, true) }, (*State).scaleDown, "patch StatefulSet db", "", ""},
		"scale up":               {false, func(s *State) { s.Workload.Replicas, s.Restore.Status.Replicas = 0, ptr.To[int32](3) }, (*State).scaleUp, "patch StatefulSet db", "", ""},
		"scale up, it is":        {false, func(s *State) { s.Restore.Status.Replicas = ptr.To[int32](1) }, (*State).scaleUp, "", "", ""},
		"release, kept":          {false, kept, (*State).release, "patch PersistentVolume pv-new", "", ""},
		"release, as any other":  {false, nil, (*State).release, "", "", ""},
		"release, paused before": {true, func(s *State) { s.Restore.Status.Paused = true }, (*State).release, "patch Deployment db", "", ""},
		"release, delete": {true, both(deletePrevious, kept, func(s *State) { leads(&s.Observed, [2]string{"v-data", "new"}) }), (*State).release,
			"patch PersistentVolume pv-new, patch PersistentVolume pv-old, delete PersistentVolumeClaim data", "", ""},
		"release, delete, held by a finished pod": {true, both(deletePrevious, finished, func(s *State) { leads(&s.Observed, [2]string{"v-data", "new"}) }), (*State).release,
			"delete Pod done, delete PersistentVolumeClaim data", "", ""},
		"release, delete, still mounted": {true, deletePrevious, (*State).release, "", "", ""},
		"discard, never run": {true, both(kept, ours("new"), func(s *State) { goingBack(s, false) }), (*State).discard,
			"patch PersistentVolume pv-old, patch PersistentVolume pv-new", "", ""},
		"discard, never run, its volume goes with it": {true, both(ours("new"), func(s *State) { goingBack(s, false) }), (*State).discard,
			"delete PersistentVolumeClaim new", "", ""},
		"discard, has run": {true, func(s *State) { goingBack(s, true) }, (*State).discard,
			"patch PersistentVolume pv-new, patch PersistentVolumeClaim new", "", ""},
		"discard, still used": {true, both(kept, func(s *State) {
			goingBack(s, true)
			leads(&s.Observed, [2]string{"v-data", "new"})
		}), (*State).discard, "patch PersistentVolume pv-old, patch PersistentVolume pv-new", "", ""},
		"discard, it goes": {false, both(made, mountCheck(corev1.PodSucceeded, true), func(s *State) {
			goingBack(s, false)
			s.Claims["t"].DeletionTimestamp = ptr.To(metav1.NewTime(now))
		}), (*State).discard, "", "is gone: pod check, PersistentVolumeClaim t", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := aReplacement(nil)
			if c.repoints {
				s = aRepointing(nil)
			}
			if c.change != nil {
				c.change(s)
			}
			expectNeed(t, c.need(s), c.changes, c.waits, c.problem)
		})
	}
}

// ours has a claim made by the restore.
func ours(claim string) func(*State) {
	return func(s *State) { s.Claims[claim].Labels = map[string]string{v1alpha1.LabelRestoreUID: "r-uid"} }
}

func expectNeed(t *testing.T, got Need, changes, waits, problem string) {
	t.Helper()
	if got.Problem != nil || problem != "" {
		if got.Problem == nil || got.Problem.Reason != problem {
			t.Errorf("got %+v, want problem %s", got.Problem, problem)
		}
		return
	}
	message := ""
	if got.Wait != nil {
		message = got.Wait.Message()
	}
	if listed(got.Changes) != changes || (message == "") != (waits == "") || !strings.Contains(message, waits) {
		t.Errorf("got %s; waits: %q", listed(got.Changes), message)
	}
}

// The way of one claim to another volume, by what is there.
func TestNextReplacement(t *testing.T) {
	available := func(s *State) {
		s.Volumes["pv-new"].Spec.ClaimRef = &corev1.ObjectReference{Name: "data"}
		s.Volumes["pv-new"].Status.Phase = corev1.VolumeAvailable
	}
	since := func(d time.Duration) func(*State) {
		return func(s *State) {
			s.Claims["data"].Spec.VolumeName, s.Claims["data"].Status.Phase = "", corev1.ClaimPending
			s.Claims["data"].CreationTimestamp = metav1.NewTime(now.Add(d))
		}
	}
	for name, c := range map[string]struct {
		change                  func(*State)
		changes, waits, problem string
	}{
		"not reserved":       {nil, "patch PersistentVolume pv-new", "data is bound to pv-new", ""},
		"reserved":           {available, "delete PersistentVolumeClaim data", "the old claim data is gone", ""},
		"the old one waits":  {func(s *State) { available(s); since(-time.Hour)(s) }, "delete PersistentVolumeClaim data", "the old claim data is gone", ""},
		"another one waits":  {func(s *State) { available(s); since(time.Second)(s) }, "", "data is bound to pv-new", ""},
		"not known yet":      {func(s *State) { available(s); delete(s.Claims, "data"); s.Volumes["pv-new"].Status.Phase = "" }, "", "PersistentVolume pv-new, reserved for claim data, is available", ""},
		"gone and available": {func(s *State) { available(s); delete(s.Claims, "data") }, "create PersistentVolumeClaim data", "data is bound to pv-new", ""},
		"made": {func(s *State) {
			available(s)
			s.Claims["data"] = aClaim("data", "pv-new", "1Gi")
			s.Claims["data"].Status.Phase = ""
		}, "", "data is bound to pv-new", ""},
		"bound":                       {func(s *State) { s.Claims["data"] = aClaim("data", "pv-new", "1Gi") }, "", "", ""},
		"the volume is gone":          {func(s *State) { delete(s.Volumes, "pv-new") }, "", "", v1alpha1.ReasonPreviousGone},
		"the volume is another":       {func(s *State) { strangers(s, "pv-new") }, "", "", v1alpha1.ReasonPreviousGone},
		"made before it was reserved": {func(s *State) { s.Claims["data"] = aClaim("data", "pv-new", "1Gi"); s.Claims["data"].Status.Phase = "" }, "patch PersistentVolume pv-new", "data is bound to pv-new", ""},
		"a pod of another has come":   {func(s *State) { available(s); s.Others = aPodOf("data", "job") }, "", "", v1alpha1.ReasonClaimInUse},
		"a pod of another, that waits": {func(s *State) { available(s); s.Others = aPodOf("data", "job"); s.Others[0].Spec.NodeName = "" },
			"", "", v1alpha1.ReasonClaimInUse},
		"a tool holds it": {func(s *State) { available(s); s.Claims["data"].Finalizers = []string{"example.com/f"} }, "", "carries the finalizer example.com/f", ""},
		"it goes":         {func(s *State) { available(s); going(s, "data") }, "", "the old claim data is gone", ""},
		"it goes, held by a pod": {func(s *State) { available(s); going(s, "data"); s.Others = aPodOf("data", "job") },
			"", "the old claim data is gone (held by pod job of another application: kubectl delete pod -n  job)", ""},
		"it goes, held by a tool": {func(s *State) {
			available(s)
			going(s, "data")
			s.Claims["data"].Finalizers = []string{"example.com/f"}
		},
			"", "(held by the finalizer example.com/f: kubectl edit pvc -n  data)", ""},
		"back, a pod of another has come": {func(s *State) { backDown(s); s.Others = aPodOf("data", "job") },
			"", "the application is down: pod job, of another application, uses PersistentVolumeClaim data by now", ""},
		"back, a pod of another that waits": {func(s *State) { backDown(s); s.Others = aPodOf("data", "job"); s.Others[0].Spec.NodeName = "" },
			"delete PersistentVolumeClaim data", "the old claim data is gone", ""},
		"back, made anew by somebody": {func(s *State) { backDown(s); s.Claims["data"].Spec.VolumeName = "pv-x" }, "", "kubectl delete pvc -n  data", ""},
		"bound to a stranger":         {func(s *State) { available(s); s.Claims["data"].Spec.VolumeName = "pv-x" }, "", "", v1alpha1.ReasonClaimHeld},
		"its volume may go": {func(s *State) {
			available(s)
			s.Volumes["pv-old"].Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
		}, "patch PersistentVolume pv-old", "the old claim data is gone", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := aReplacement(nil)
			kept(s)
			s.Restore.Status.ScaledDownAt = ptr.To(metav1.NewMicroTime(now))
			if c.change != nil {
				c.change(s)
			}
			expectNeed(t, s.swap(), c.changes, c.waits, c.problem)
		})
	}
}

// aPodOf is one of another application that has a node and names a claim.
func aPodOf(claim, name string) []corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: templateOf(claim).Spec}
	p.Spec.NodeName = "n"
	return []corev1.Pod{p}
}

// going has a claim that is being deleted and held by whoever uses it.
func going(s *State, claim string) {
	s.Claims[claim].DeletionTimestamp, s.Claims[claim].Finalizers = ptr.To(metav1.NewTime(now)), []string{finalizerProtection}
}

// backDown is on its way back, the application stopped on its restored volume.
func backDown(s *State) {
	goingBack(s, true)
	s.Claims["data"].Spec.VolumeName = "pv-new"
	s.Volumes["pv-old"].Spec.ClaimRef = &corev1.ObjectReference{Name: "data"}
}

// Either all claims are replaced or none is touched.
func TestOneClaimThatIsUsedKeepsAll(t *testing.T) {
	s := aReplacement(nil)
	kept(s)
	log := s.Restore.Status.Claims[0]
	log.ClaimName, log.PreviousClaim, log.RestoredClaim, log.PreviousVolume, log.RestoredVolume = "log", "log", "log", "pv-log", "pv-log-new"
	s.Restore.Status.Claims = append(s.Restore.Status.Claims, log)
	s.Claims["log"] = aClaim("log", "pv-log", "1Gi")
	for name, claim := range map[string]string{"pv-log": "log", "pv-log-new": "log", "pv-new": "data"} {
		s.Volumes[name] = aVolume(name, claim)
		s.Volumes[name].Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		s.Volumes[name].Spec.ClaimRef.UID = ""
		s.Volumes[name].Labels = map[string]string{v1alpha1.LabelRestoreUID: "r-uid"}
	}
	expectNeed(t, s.swap(), "delete PersistentVolumeClaim data, delete PersistentVolumeClaim log", "the old claim data is gone", "")
	s.Others = aPodOf("log", "job")
	expectNeed(t, s.swap(), "", "", v1alpha1.ReasonClaimInUse)
}

// On the way back of a restore by Repoint a claim is made anew that somebody has
// deleted, and none is deleted.
func TestAPreviousClaimIsMadeAnew(t *testing.T) {
	available := func(s *State) {
		s.Volumes["pv-old"].Spec.ClaimRef = &corev1.ObjectReference{Name: "data"}
		s.Volumes["pv-old"].Status.Phase = corev1.VolumeAvailable
	}
	for name, c := range map[string]struct {
		change         func(*State)
		changes, waits string
	}{
		"there":                 {nil, "patch Deployment db", "its pod template leads to the claims"},
		"going":                 {func(s *State) { going(s, "data") }, "", "the old claim data is gone"},
		"going, held":           {func(s *State) { going(s, "data"); s.Others = aPodOf("data", "job") }, "", "held by pod job of another application"},
		"gone":                  {func(s *State) { delete(s.Claims, "data") }, "patch PersistentVolume pv-old", "data is bound to pv-old"},
		"gone, reserved":        {func(s *State) { delete(s.Claims, "data"); available(s) }, "create PersistentVolumeClaim data", "data is bound to pv-old"},
		"another, not bound":    {func(s *State) { s.Claims["data"] = aClaim("data", "", "1Gi"); available(s) }, "", "is bound to PersistentVolume pv-old or gone"},
		"another":               {func(s *State) { s.Claims["data"].Spec.VolumeName = "pv-x"; available(s) }, "", "is bound to PersistentVolume pv-old or gone"},
		"there was none before": {func(s *State) { delete(s.Claims, "data"); s.Restore.Status.Claims[0].PreviousVolume = "" }, "patch Deployment db", "its pod template leads to the claims"},
	} {
		t.Run(name, func(t *testing.T) {
			s := aRepointing(func(_ *v1alpha1.VolumeRestore, o *Observed) { leads(o, [2]string{"v-data", "new"}) })
			kept(s)
			goingBack(s, true)
			if c.change != nil {
				c.change(s)
			}
			expectNeed(t, s.swap(), c.changes, c.waits, "")
		})
	}
}

// The previous volume counts, by whichever name.
func TestAPreviousClaimWhoseNameIsTakenGetsAnother(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*State)
		another bool
	}{
		"as it was":   {nil, false},
		"gone":        {func(s *State) { delete(s.Claims, "data") }, false},
		"made anew":   {func(s *State) { s.Claims["data"].Spec.VolumeName = "pv-x" }, true},
		"and it goes": {func(s *State) { s.Claims["data"].Spec.VolumeName = "pv-x"; going(s, "data") }, false},
		"not bound":   {func(s *State) { s.Claims["data"].Status.Phase = corev1.ClaimPending }, false},
		"by Replace": {func(s *State) {
			s.Claims["data"].Spec.VolumeName = "pv-x"
			s.Restore.Status.Strategy = v1alpha1.StrategyReplace
		}, false},
		"none to have": {func(s *State) { s.Restore.Status.Claims[0].PreviousVolume = "" }, false},
	} {
		s := aRepointing(nil)
		if c.change != nil {
			c.change(s)
		}
		RecordPreviousClaims(s)
		if got := s.Restore.Status.Claims[0].PreviousClaim; (got != "data") != c.another {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Kubernetes leaves pods of an ordered StatefulSet running that aren't ready.
func TestPodsThatTheirControllerLeavesRunningAreToldToStop(t *testing.T) {
	pods := func(names ...string) []corev1.Pod {
		var all []corev1.Pod
		for _, name := range names {
			all = append(all, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}})
		}
		return all
	}
	for name, c := range map[string]struct {
		change func(*State)
		want   string
	}{
		"one by one, the last first": {nil, "delete Pod db-10"},
		"one goes already":           {func(s *State) { s.Pods[0].DeletionTimestamp = ptr.To(metav1.NewTime(now)) }, ""},
		"side by side":               {func(s *State) { s.Workload.IsOrdered = false }, "delete Pod db-0, delete Pod db-10, delete Pod db-9"},
		"its controller has to see":  {func(s *State) { s.Workload.IsUnseen = true }, ""},
		"it has replicas":            {func(s *State) { s.Workload.Replicas = 1 }, ""},
		"a moment later":             {func(s *State) { s.Restore.Status.StepSince = ptr.To(metav1.NewMicroTime(now)) }, ""},
		"on the way back too":        {func(s *State) { goingBack(s, true) }, "delete Pod db-10"},
	} {
		s := aReplacement(func(status *v1alpha1.VolumeRestoreStatus, o *Observed) {
			o.Workload.Replicas, o.Workload.IsOrdered, o.Pods = 0, true, pods("db-0", "db-10", "db-9")
			status.ScaledDownAt = ptr.To(metav1.NewMicroTime(now))
			status.StepSince = ptr.To(metav1.NewMicroTime(now.Add(-toldAfter)))
		})
		if c.change != nil {
			c.change(s)
		}
		if got := s.awaitPodsGone(); listed(got.Changes) != c.want || got.Wait == nil {
			t.Errorf("%s: got %s, want %s", name, listed(got.Changes), c.want)
		}
	}
}

func TestWhatChangesDo(t *testing.T) {
	s := aRepointing(nil)
	after := s.swap().Changes[0]
	if d := templateIn(after.After); d.Spec.Volumes[0].PersistentVolumeClaim.ClaimName != "new" || after.Guard != SameVersion {
		t.Errorf("points the template at the new claim, where nobody was faster: got %+v", d.Spec.Volumes)
	}
	if s.Workload.ClaimAt("v-data") != "data" || templateIn(s.Workload.Object).Spec.Volumes[0].PersistentVolumeClaim.ClaimName != "data" {
		t.Error("what was read stays as it is")
	}
	if scale := s.scaleDown().Changes[0]; scale.Guard != SameGeneration || scale.Cannot != "the application can't be scaled to zero" {
		t.Errorf("got %+v", scale)
	}
	keeping := s.keepVolumes().Changes
	v := keeping[0].After.(*corev1.PersistentVolume)
	if !isRetained(v) || v.Labels[v1alpha1.LabelRestoreUID] != "r-uid" || !isPrevious(v) || !isPrevious(keeping[1].After) {
		t.Errorf("retains and marks: got %+v", keeping)
	}
	s = aReplacement(func(_ *v1alpha1.VolumeRestoreStatus, o *Observed) { keep(o); delete(o.Claims, "t") })
	reserved := s.reserveVolumes().Changes[0].After.(*corev1.PersistentVolume)
	if !isReservedForAny(reserved, "", "data") {
		t.Errorf("keeps the volume for the old name: got %+v", reserved.Spec.ClaimRef)
	}
}
