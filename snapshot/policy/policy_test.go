package policy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

var now = time.Date(2025, 11, 26, 12, 0, 0, 0, time.UTC)

// nightly is a policy of namespace shop, changed.
func nightly(t *testing.T, change func(*v1alpha1.SnapshotPolicySpec)) *Policy {
	t.Helper()
	spec := &v1alpha1.SnapshotPolicySpec{Schedule: "0 2 * * *"}
	if change != nil {
		change(spec)
	}
	p, err := Read("shop", "nightly", now.AddDate(-1, 0, 0), spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func app(kind v1alpha1.ApplicationKind, name string) Application {
	return Application{Namespace: "shop", Ref: v1alpha1.ApplicationReference{Kind: kind, Name: name}}
}

func TestBadPolicies(t *testing.T) {
	minutes := func(n int) *metav1.Duration { return &metav1.Duration{Duration: time.Duration(n) * time.Minute} }
	for name, c := range map[string]struct {
		change       func(*v1alpha1.SnapshotPolicySpec)
		reason, says string
	}{
		"six fields":    {func(s *v1alpha1.SnapshotPolicySpec) { s.Schedule = "0 0 2 * * *" }, v1alpha1.ReasonInvalidSchedule, "write 0 2 * * *"},
		"a zone in it":  {func(s *v1alpha1.SnapshotPolicySpec) { s.Schedule = "TZ=Europe/Zurich 0 2 * * *" }, v1alpha1.ReasonInvalidSchedule, "timeZone"},
		"no such zone":  {func(s *v1alpha1.SnapshotPolicySpec) { s.TimeZone = "Europe/Zuerich" }, v1alpha1.ReasonInvalidSchedule, "Europe/Zurich"},
		"never":         {func(s *v1alpha1.SnapshotPolicySpec) { s.Schedule = "59 23 31 2 *" }, v1alpha1.ReasonInvalidSchedule, "never due"},
		"a long jitter": {func(s *v1alpha1.SnapshotPolicySpec) { s.Schedule, s.Jitter = "@hourly", minutes(60) }, v1alpha1.ReasonInvalidSchedule, "shortest gap, 1h0m0s"},
		"keeps nothing": {func(s *v1alpha1.SnapshotPolicySpec) {
			s.Retention.Snapshots = &v1alpha1.RetentionRules{KeepLast: -2}
		}, v1alpha1.ReasonInvalidRetention, "keepLast: 3"},
		"no time": {func(s *v1alpha1.SnapshotPolicySpec) {
			s.Retention.Snapshots = &v1alpha1.RetentionRules{KeepWithin: "90s"}
		}, v1alpha1.ReasonInvalidRetention, "48h"},
	} {
		spec := &v1alpha1.SnapshotPolicySpec{Schedule: "0 2 * * *"}
		c.change(spec)
		_, err := Read("shop", "nightly", now, spec)
		var p *v1alpha1.Problem
		if !errors.As(err, &p) || p.Reason != c.reason || !strings.Contains(p.Message, c.says) {
			t.Errorf("%s: %v, should be %s and say %q", name, err, c.reason, c.says)
		}
	}
}

// candidates of namespace shop: a database, a cache that says no, a shop that
// asks for nightly though it has no claims, the set of the database, queues, others
// with nothing to back up, and claims; one of them a restore has replaced.
func candidates() []Candidate {
	mounting := func(claims ...string) *workload.MountedClaims {
		var w workload.Workload
		for _, claim := range claims {
			w.Template.Spec.Volumes = append(w.Template.Spec.Volumes, volumeOf(claim))
		}
		return w.MountedClaims()
	}
	perReplica := func(replicas int32) *workload.MountedClaims {
		w := workload.Workload{Ref: v1alpha1.ApplicationReference{Name: "queue"}, Replicas: replicas, ClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}}
		return w.MountedClaims()
	}
	return []Candidate{
		{Application: app(v1alpha1.KindDeployment, "db"), Labels: map[string]string{"tier": "db"}, Mounts: mounting("db-data")},
		{Application: app(v1alpha1.KindReplicaSet, "db-5f"), IsOwned: true, Labels: map[string]string{"tier": "db"}, Annotations: map[string]string{v1alpha1.AnnotationPolicy: "nightly"}, Mounts: mounting("db-data")},
		{Application: app(v1alpha1.KindStatefulSet, "cache"), Labels: map[string]string{"tier": "db"}, Annotations: map[string]string{"k8up.io/backup": "false"}},
		{Application: app(v1alpha1.KindDeployment, "web"), Labels: map[string]string{"tier": "web"}, Mounts: mounting()},
		{Application: app(v1alpha1.KindDeployment, "thumbnails"), Labels: map[string]string{"tier": "web"}, Mounts: mounting("scratch")},
		{Application: app(v1alpha1.KindStatefulSet, "queue"), Labels: map[string]string{"tier": "queue"}, Mounts: perReplica(2)},
		{Application: app(v1alpha1.KindStatefulSet, "stopped"), Labels: map[string]string{"tier": "queue"}, Mounts: perReplica(0)},
		{Application: app(v1alpha1.KindDeployment, "shop"), Mounts: mounting(), Annotations: map[string]string{v1alpha1.AnnotationPolicy: "hourly, nightly"}},
		{Application: app(v1alpha1.KindPersistentVolumeClaim, "db-data"), Labels: map[string]string{"backup": "yes"}},
		{Application: app(v1alpha1.KindPersistentVolumeClaim, "files"), Labels: map[string]string{"backup": "yes"}},
		{Application: app(v1alpha1.KindPersistentVolumeClaim, "files-before"), Labels: map[string]string{"backup": "yes", v1alpha1.LabelPrevious: "true"}, Annotations: map[string]string{v1alpha1.AnnotationPolicy: "nightly"}},
		{Application: app(v1alpha1.KindPersistentVolumeClaim, "scratch"), Labels: map[string]string{"backup": "yes"}, Annotations: map[string]string{v1alpha1.AnnotationBackup: "false"}},
	}
}

func TestWhoIsSelected(t *testing.T) {
	tier := &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "db"}}
	all := &metav1.LabelSelector{}
	backup := &metav1.LabelSelector{MatchLabels: map[string]string{"backup": "yes"}}
	ref := func(kind v1alpha1.ApplicationKind, name string) v1alpha1.ApplicationReference {
		return v1alpha1.ApplicationReference{Kind: kind, Name: name}
	}
	for name, c := range map[string]struct {
		who         v1alpha1.PolicyApplications
		ofCluster   bool
		notSelected bool
		want        string
	}{
		"what asks for it":                           {want: "Deployment/shop"},
		"what is named, there or not":                {who: v1alpha1.PolicyApplications{Refs: []v1alpha1.ApplicationReference{ref("", "db"), ref(v1alpha1.KindPod, "lone")}}, want: "Deployment/db Deployment/shop Pod/lone"},
		"named, though a restore has replaced it":    {who: v1alpha1.PolicyApplications{Refs: []v1alpha1.ApplicationReference{ref(v1alpha1.KindPersistentVolumeClaim, "files-before")}}, want: "Deployment/shop PersistentVolumeClaim/files-before"},
		"named, and says no":                         {who: v1alpha1.PolicyApplications{Refs: []v1alpha1.ApplicationReference{ref(v1alpha1.KindStatefulSet, "cache")}}, want: "Deployment/shop"},
		"by label, without what others manage":       {who: v1alpha1.PolicyApplications{Selector: tier}, want: "Deployment/db Deployment/shop"},
		"all workloads":                              {who: v1alpha1.PolicyApplications{Selector: all}, want: "Deployment/db Deployment/shop StatefulSet/queue StatefulSet/stopped"},
		"named, and without claims":                  {who: v1alpha1.PolicyApplications{Selector: all, Refs: []v1alpha1.ApplicationReference{ref("", "web")}}, want: "Deployment/db Deployment/shop Deployment/web StatefulSet/queue StatefulSet/stopped"},
		"claims":                                     {who: v1alpha1.PolicyApplications{ClaimSelector: backup}, want: "Deployment/shop PersistentVolumeClaim/db-data PersistentVolumeClaim/files"},
		"claims that no workload of it mounts":       {who: v1alpha1.PolicyApplications{ClaimSelector: backup, Selector: tier}, want: "Deployment/db Deployment/shop PersistentVolumeClaim/files"},
		"of the cluster, in a namespace that it has": {who: v1alpha1.PolicyApplications{Selector: tier}, ofCluster: true, want: "Deployment/db Deployment/shop"},
		"of the cluster, elsewhere":                  {who: v1alpha1.PolicyApplications{Selector: tier}, ofCluster: true, notSelected: true, want: "Deployment/shop"},
		"of the cluster, a name that isn't there":    {who: v1alpha1.PolicyApplications{Refs: []v1alpha1.ApplicationReference{ref("", "none"), ref("", "db")}}, ofCluster: true, want: "Deployment/db Deployment/shop"},
	} {
		p := nightly(t, func(s *v1alpha1.SnapshotPolicySpec) { s.Applications = c.who })
		if c.ofCluster {
			p.Namespace = ""
		}
		chosen, err := p.Select("shop", !c.notSelected, candidates())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range chosen {
			got = append(got, string(a.Ref.Kind)+"/"+a.Ref.Name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

func TestASelectorThatCannotBeReadIsToldBySayingWhich(t *testing.T) {
	p := nightly(t, func(s *v1alpha1.SnapshotPolicySpec) {
		s.Applications.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: "Is"}}}
	})
	_, err := p.Select("shop", true, nil)
	if err == nil || !strings.Contains(err.Error(), "spec.applications.selector can't be read") {
		t.Error(err)
	}
}

func TestNamesOfBackups(t *testing.T) {
	due := time.Date(2026, 11, 25, 3, 0, 0, 0, time.FixedZone("", 3600))
	mysql := app(v1alpha1.KindDeployment, "mysql")
	name := BackupName("nightly", mysql, due)
	if !strings.HasPrefix(name, "nightly-mysql-20261125-0200-") {
		t.Error(name)
	}
	long := app(v1alpha1.KindDeployment, strings.Repeat("very-long-", 20)+"x")
	longer := app(v1alpha1.KindDeployment, strings.Repeat("very-long-", 20)+"y")
	all := []string{
		name, BackupName("nightly", mysql, due.Add(time.Minute)), BackupName("nightly", app(v1alpha1.KindStatefulSet, "mysql"), due),
		BackupName("nightly", Application{"other", mysql.Ref}, due), BackupName("daily", mysql, due),
		BackupName("nightly", long, due), BackupName("nightly", longer, due), RunNowName("nightly", mysql, due, "1"), RunNowName("nightly", mysql, due, "2"),
		BackupName("with.dots", app(v1alpha1.KindDeployment, "a.b"), due),
	}
	for i, other := range []Application{mysql, app(v1alpha1.KindStatefulSet, "mysql"), long, longer} {
		all = append(all, LongerName(name, other), LongerName(BackupName("nightly", other, due.Add(time.Duration(i+5)*time.Minute)), other))
	}
	for _, n := range all {
		if bad := validation.IsDNS1123Label(n); len(bad) > 0 {
			t.Errorf("%s: %v", n, bad)
		}
	}
	slices.Sort(all)
	if unique := slices.Compact(slices.Clone(all)); len(unique) != len(all) {
		t.Errorf("two have one name: %v", all)
	}
	if longer := LongerName(name, mysql); !strings.HasPrefix(longer, "nightly-mysql-20261125-0200-") || !IsNamed(longer, "nightly", mysql, due) || IsNamed(longer, "daily", mysql, due) {
		t.Error(longer)
	}
	if name != BackupName("nightly", mysql, due.UTC()) {
		t.Error("the same moment in another zone has another name")
	}
}

func TestWhatIsDue(t *testing.T) {
	two := time.Date(2025, 11, 26, 2, 0, 0, 0, time.UTC)
	db := app(v1alpha1.KindDeployment, "db")
	allow := func(s *v1alpha1.SnapshotPolicySpec) { s.Concurrency = v1alpha1.ConcurrencyAllow }
	for name, c := range map[string]struct {
		change    func(*v1alpha1.SnapshotPolicySpec)
		dealtWith time.Time
		running   string
		at        time.Time
		runs      int
		missed    string
		count     int
		isDone    bool
		next      time.Time
	}{
		"nothing yet":               {dealtWith: two.Add(-time.Hour), at: two.Add(-time.Second), next: two},
		"due":                       {dealtWith: two.Add(-time.Hour), at: two, runs: 1, isDone: true, next: two.AddDate(0, 0, 1)},
		"dealt with":                {dealtWith: two, at: two.Add(time.Minute), next: two.AddDate(0, 0, 1)},
		"a little late":             {dealtWith: two.Add(-time.Hour), at: two.Add(time.Hour), runs: 1, isDone: true, next: two.AddDate(0, 0, 1)},
		"too late":                  {dealtWith: two.Add(-time.Hour), at: two.Add(2 * time.Hour), missed: "nobody made it", count: 1, isDone: true, next: two.AddDate(0, 0, 1)},
		"a month of them":           {dealtWith: two.AddDate(0, -1, 0), at: two, runs: 1, count: 30, isDone: true, next: two.AddDate(0, 0, 1)},
		"the last goes on":          {dealtWith: two.Add(-time.Hour), running: "before", at: two, next: two.Add(time.Hour + time.Millisecond)},
		"goes on, and may":          {change: allow, dealtWith: two.Add(-time.Hour), running: "before", at: two, runs: 1, isDone: true, next: two.AddDate(0, 0, 1)},
		"the last went on too long": {dealtWith: two.Add(-time.Hour), running: "before", at: two.Add(time.Hour + time.Second), missed: "backup before went on", count: 1, isDone: true, next: two.AddDate(0, 0, 1)},
	} {
		p := nightly(t, c.change)
		due := p.Since([]History{{Application: db, DealtWith: c.dealtWith, Running: c.running}}, c.at)
		if len(due.Runs) != c.runs || c.runs == 1 && !due.Runs[0].Due.Equal(two) {
			t.Errorf("%s: runs %v, want %d", name, due.Runs, c.runs)
		}
		if (c.missed == "") != (len(due.Missed) == 0) || len(due.Missed) == 1 && !strings.Contains(due.Missed[0].Why, c.missed) || due.Count != c.count {
			t.Errorf("%s: missed %d: %v, want %d: %q", name, due.Count, due.Missed, c.count, c.missed)
		}
		if done, is := due.DealtWith[db]; is != c.isDone || is && !done.Equal(two) {
			t.Errorf("%s: dealt with %v", name, due.DealtWith)
		}
		if !due.Next.Equal(c.next) {
			t.Errorf("%s: looks again at %s, want %s", name, due.Next, c.next)
		}
	}
}

// Each due time that a backup is in the way of is missed by a deadline of its own,
// however many come after it.
func TestWhatIsMissedWhileABackupGoesOn(t *testing.T) {
	two := time.Date(2025, 11, 26, 2, 0, 0, 0, time.UTC)
	db := app(v1alpha1.KindDeployment, "db")
	p := nightly(t, func(s *v1alpha1.SnapshotPolicySpec) { s.Schedule = "*/30 * * * *" })
	for minute, c := range map[int]struct {
		count int
		done  time.Time
		next  time.Time
	}{
		0:   {0, time.Time{}, two.Add(30 * time.Minute)},
		60:  {0, time.Time{}, two.Add(time.Hour + time.Millisecond)},
		61:  {1, two, two.Add(90 * time.Minute)},
		155: {4, two.Add(90 * time.Minute), two.Add(3 * time.Hour)},
	} {
		due := p.Since([]History{{Application: db, DealtWith: two.Add(-time.Minute), Running: "before"}}, two.Add(time.Duration(minute)*time.Minute))
		if due.Count != c.count || !due.DealtWith[db].Equal(c.done) || len(due.Runs) > 0 || due.Waits[db] != "before" || !due.Next.Equal(c.next) {
			t.Errorf("after %d minutes: %+v", minute, due)
		}
		if (len(due.Missed) == 1) != (c.count > 0) || c.count > 0 && !strings.Contains(due.Missed[0].Why, "backup before went on") {
			t.Errorf("after %d minutes it says %+v", minute, due.Missed)
		}
	}
}

// A run that waits for another look, or is refused, has what was missed before it
// counted once.
func TestWhatWasMissedBeforeARun(t *testing.T) {
	two := time.Date(2025, 11, 26, 2, 0, 0, 0, time.UTC)
	db := app(v1alpha1.KindDeployment, "db")
	p := nightly(t, nil)
	since := func(dealtWith time.Time) Due { return p.Since([]History{{Application: db, DealtWith: dealtWith}}, two) }
	due := since(two.AddDate(0, 0, -5))
	due.Postpone(due.Runs[0])
	if due.Count != 4 || !due.DealtWith[db].Equal(two.AddDate(0, 0, -1)) {
		t.Errorf("postponed: %+v", due)
	}
	again := since(due.DealtWith[db])
	if again.Count != 0 || len(again.Runs) != 1 {
		t.Errorf("looked at again: %+v", again)
	}
	if again.Postpone(again.Runs[0]); len(again.DealtWith) > 0 {
		t.Errorf("postponed again: %+v", again)
	}
	refused := since(two.AddDate(0, 0, -5))
	if refused.Refused(refused.Runs[0], errors.New("quota")); refused.Count != 5 || !refused.DealtWith[db].Equal(two) {
		t.Errorf("refused: %+v", refused)
	}
}

// Each application has its own moment in the window, and always the same one.
func TestJitterSpreadsTheApplications(t *testing.T) {
	p := nightly(t, func(s *v1alpha1.SnapshotPolicySpec) { s.Jitter = &metav1.Duration{Duration: 15 * time.Minute} })
	two := time.Date(2025, 11, 26, 2, 0, 0, 0, time.UTC)
	moments := map[time.Duration]bool{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		one := app(v1alpha1.KindDeployment, name)
		offset := p.Offset(one)
		moments[offset] = true
		early := p.Since([]History{{Application: one, DealtWith: two.Add(-time.Hour)}}, two.Add(offset-time.Second))
		if len(early.Runs) != 0 || !early.Next.Equal(two.Add(offset)) {
			t.Errorf("%s: %v before its moment, looks again at %s", name, early.Runs, early.Next)
		}
		if due := p.Since([]History{{Application: one, DealtWith: two.Add(-time.Hour)}}, two.Add(offset)); len(due.Runs) != 1 || !due.Runs[0].Due.Equal(two) {
			t.Errorf("%s: %v at its moment", name, due.Runs)
		}
	}
	if len(moments) < 5 {
		t.Errorf("six applications have only %d moments", len(moments))
	}
}

func TestWhatIsLeftOut(t *testing.T) {
	for what, c := range map[string]struct {
		template         v1alpha1.VolumeSelection
		out              []string
		include, exclude []string
	}{
		"nothing":          {template: v1alpha1.VolumeSelection{Exclude: []string{"b", "a"}}, exclude: []string{"b", "a"}},
		"one":              {out: []string{"a"}, exclude: []string{"a"}},
		"beside others":    {template: v1alpha1.VolumeSelection{Exclude: []string{"b", "c"}}, out: []string{"a", "b"}, exclude: []string{"a", "b", "c"}},
		"of some":          {template: v1alpha1.VolumeSelection{Include: []string{"a", "b"}}, out: []string{"a"}, include: []string{"b"}, exclude: []string{"a"}},
		"all, and refused": {template: v1alpha1.VolumeSelection{Include: []string{"a"}}, out: []string{"a"}, include: []string{"a"}, exclude: []string{"a"}},
	} {
		b := &v1alpha1.VolumeBackup{Spec: v1alpha1.VolumeBackupSpec{BackupSettings: v1alpha1.BackupSettings{Volumes: c.template}}}
		LeaveOut(b, c.out)
		if v := b.Spec.Volumes; !slices.Equal(v.Include, c.include) || !slices.Equal(v.Exclude, c.exclude) {
			t.Errorf("%s: %+v", what, v)
		}
	}
}

// What had to wait for the last backup isn't late: nothing can be done about it.
func TestLateBy(t *testing.T) {
	p := nightly(t, nil)
	shop := app(v1alpha1.KindDeployment, "shop")
	due := time.Date(2025, 11, 26, 2, 0, 0, 0, time.UTC)
	ended := func(at time.Time) *v1alpha1.VolumeBackup {
		completion := metav1.NewTime(at)
		return &v1alpha1.VolumeBackup{Status: v1alpha1.VolumeBackupStatus{CompletionTime: &completion}}
	}
	for what, c := range map[string]struct {
		last *v1alpha1.VolumeBackup
		want time.Duration
	}{
		"the first":                      {nil, 5 * time.Second},
		"the last ended before":          {ended(due.Add(-time.Second)), 5 * time.Second},
		"the last ended in between":      {ended(due.Add(3 * time.Second)), 0},
		"the last ended in that second":  {ended(due), 0},
		"the last failed without an end": {&v1alpha1.VolumeBackup{}, 5 * time.Second},
	} {
		s := &State{Policy: p, Now: due.Add(5 * time.Second), results: map[Application]Results{shop: {Ended: c.last}}}
		if late := s.LateBy(Run{Application: shop, Due: due}); late != c.want {
			t.Errorf("%s: %s, want %s", what, late, c.want)
		}
	}
}
