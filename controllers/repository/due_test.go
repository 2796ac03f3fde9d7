package repository

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// aMaintained is a repository of noon, a Friday, that is checked and pruned on
// Sundays.
func aMaintained() *v1alpha1.ResticRepository {
	r := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(noon)}}
	r.Spec.Maintenance.Check = &v1alpha1.CheckMaintenance{Schedule: "0 5 * * 0", ReadData: "40%"}
	r.Spec.Maintenance.Prune = &v1alpha1.PruneMaintenance{Schedule: "0 4 * * 0"}
	return r
}

func next(t *testing.T, r *v1alpha1.ResticRepository, now time.Time, histories ...resticexport.History) (string, *resticexport.Task, time.Time) {
	t.Helper()
	name, task, at, err := nextTask(r, histories, now)
	if err != nil {
		t.Fatal(err)
	}
	return name, task, at
}

func TestMaintenanceHasItsTurns(t *testing.T) {
	r := aMaintained()
	sunday := time.Date(2026, 5, 3, 4, 0, 0, 0, time.UTC)
	if _, task, at := next(t, r, noon); task != nil || !at.Equal(sunday) {
		t.Errorf("on Friday: %v at %s", task, at)
	}
	if name, task, _ := next(t, r, noon, resticexport.History{Host: "h"}); name != "retain" || task.Retain == nil {
		t.Errorf("with news: %s %v", name, task)
	}
	late := sunday.Add(3 * time.Hour)
	var done []string
	for range 5 {
		name, task, at := next(t, r, late)
		if task == nil {
			if want := time.Date(2026, 5, 10, 4, 0, 0, 0, time.UTC); !at.Equal(want) {
				t.Errorf("then at %s", at)
			}
			break
		}
		done = append(done, task.String())
		if told := recordTask(r, name, task, resticexport.Result{Done: true}, late); told != "" {
			t.Error(told)
		}
	}
	if want := []string{`{"check":{"part":1,"of":3}}`, `{"prune":{}}`}; !slices.Equal(done, want) {
		t.Errorf("%q, not %q", done, want)
	}
	for part := int32(2); part < 8; part++ {
		late = late.Add(7 * 24 * time.Hour)
		name, task, _ := next(t, r, late)
		if want := (part-1)%3 + 1; task.Check == nil || task.Check.Part != want {
			t.Errorf("after part %d comes %s", part-1, task)
		}
		recordTask(r, name, task, resticexport.Result{Done: true}, late)
		name, task, _ = next(t, r, late)
		recordTask(r, name, task, resticexport.Result{Done: true}, late)
	}
	r.Spec.Maintenance.Prune.Schedule = "0 4 31 2 *"
	if _, _, _, err := nextTask(r, nil, late); err == nil || !strings.Contains(err.Error(), "spec.maintenance.prune.schedule") {
		t.Errorf("a time that never comes: %v", err)
	}
}

func TestAClockThatWasAheadHoldsNothingUp(t *testing.T) {
	r := aMaintained()
	year := metav1.NewTime(noon.AddDate(1, 0, 0))
	r.Status.LastCheckTime, r.Status.LastPruneTime = &year, &year
	if _, task, at := next(t, r, noon); task != nil || !at.Equal(time.Date(2026, 5, 3, 4, 0, 0, 0, time.UTC)) {
		t.Errorf("%v at %s", task, at)
	}
	r.Status.FailedTasks = []v1alpha1.FailedTask{{Task: taskRetain, Attempts: 1, LastAttemptTime: &year}}
	if name, task, _ := next(t, r, noon, resticexport.History{Host: "h"}); task == nil || name != taskRetain {
		t.Errorf("%s", name)
	}
}

func TestDamageIsNotPruned(t *testing.T) {
	r := aMaintained()
	late := noon.Add(7 * 24 * time.Hour)
	name, task, _ := next(t, r, late)
	if told := recordTask(r, name, task, resticexport.Result{Cause: resticexport.CauseDamaged, Message: "the repository has 1 errors"}, late); !strings.Contains(told, "damaged") || r.Status.LastCheckTime == nil {
		t.Errorf("%q, %+v", told, r.Status)
	}
	r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionHealthy, Status: metav1.ConditionFalse}}
	if name, task, _ := next(t, r, late); task != nil {
		t.Errorf("then comes %s", name)
	}
}

func TestMaintenanceThatFails(t *testing.T) {
	r := aMaintained()
	r.Spec.Maintenance.Check = nil
	late := noon.Add(7 * 24 * time.Hour)
	name, task, _ := next(t, r, late)
	if told := recordTask(r, name, task, resticexport.Result{Cause: resticexport.CauseLocked, Message: "locked by web-0"}, late); !strings.Contains(told, "locked by web-0") {
		t.Error(told)
	}
	if _, task, at := next(t, r, late); task != nil || !at.Equal(late.Add(10*time.Second)) {
		t.Errorf("right after: %v at %s", task, at)
	}
	late = late.Add(10 * time.Second)
	name, task, _ = next(t, r, late)
	if task.Unlock == nil {
		t.Errorf("what is gone may have left a lock, which is removed first: %s", task)
	}
	recordTask(r, name, task, resticexport.Result{Done: true}, late)
	if name, task, _ = next(t, r, late); task == nil || task.Prune == nil {
		t.Errorf("then it is tried at once: %v", task)
	}
	recordTask(r, name, task, resticexport.Result{Cause: resticexport.CauseUnreachable}, late)
	if _, task, at := next(t, r, late); task != nil || !at.Equal(late.Add(20*time.Second)) {
		t.Errorf("ever later: %v at %s", task, at)
	}
	late = late.Add(time.Minute)
	name, task, _ = next(t, r, late)
	recordTask(r, name, task, resticexport.Result{Cause: resticexport.CauseAccessDenied, Message: "append-only"}, late)
	if _, task, at := next(t, r, late); task != nil || at.Before(late.Add(time.Hour)) || !strings.Contains(failureOf(&r.Status, taskPrune).Message, "append-only") {
		t.Errorf("what no try mends is left until it is due again: %v at %s, %+v", task, at, r.Status.FailedTasks)
	}
}

// Of two that fail, each is tried ever later, whatever the other comes to.
func TestEachTaskHasItsOwnNextTry(t *testing.T) {
	r := aMaintained()
	r.Spec.Maintenance.Prune = nil
	now, h := noon.Add(7*24*time.Hour), resticexport.History{Host: "h"}
	down := resticexport.Result{Cause: resticexport.CauseUnreachable, Message: "connection refused"}
	var tried []string
	for end := now.Add(20 * time.Minute); now.Before(end); now = now.Add(time.Second) {
		name, task, _ := next(t, r, now, h)
		if task == nil {
			continue
		}
		tried = append(tried, name)
		recordTask(r, name, task, down, now)
	}
	counts := map[string]int{}
	for _, name := range tried {
		counts[name]++
	}
	if counts[taskRetain] != 7 || counts[taskCheck] != 7 { // after 10, 20, 40 s and so on, 10 minutes at most
		t.Errorf("in 20 minutes they are tried %v times", counts)
	}
	now = now.Add(10 * time.Minute)
	recordTask(r, taskCheck, &resticexport.Task{Check: &resticexport.Check{}}, resticexport.Result{Done: true}, now)
	if f := r.Status.FailedTasks; len(f) != 1 || f[0].Task != taskRetain || f[0].Attempts != 7 {
		t.Errorf("once the check is done: %+v", f)
	}
	r.Spec.Maintenance.Check = nil
	setFailure(&r.Status, v1alpha1.FailedTask{Task: taskCheck, Message: "of long ago"})
	if dropUnscheduled(r); len(r.Status.FailedTasks) != 1 {
		t.Errorf("once nobody asks for checks: %+v", r.Status.FailedTasks)
	}
}

func TestWhatRetentionLooksAt(t *testing.T) {
	rules := v1alpha1.RetentionRules{KeepLast: 1}
	policies := []exportPolicy{{name: "nightly", rules: rules, timeZone: "Europe/Zurich"}}
	exported := func(uid types.UID, app string, at time.Duration, change func(*v1alpha1.VolumeBackup)) v1alpha1.VolumeBackup {
		b := v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: string(uid), UID: uid, Labels: map[string]string{v1alpha1.LabelPolicy: "nightly"}}}
		b.Spec.ApplicationRef.Name = app
		b.Spec.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: "offsite"}}
		b.Status.CompletionTime = ptr.To(metav1.NewTime(noon.Add(at)))
		b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
		if change != nil {
			change(&b)
		}
		return b
	}
	proven := func(b *v1alpha1.VolumeBackup) { b.Status.Consistency = v1alpha1.Proven }
	backups := []v1alpha1.VolumeBackup{
		exported("1", "web", -3*time.Hour, proven), exported("2", "web", -2*time.Hour, proven),
		exported("3", "web", -time.Hour, func(b *v1alpha1.VolumeBackup) {
			b.Annotations = map[string]string{v1alpha1.AnnotationKeep: "true"}
		}),
		exported("4", "web", time.Hour, nil),
		exported("5", "old", -time.Hour, nil),
		exported("6", "elsewhere", time.Hour, func(b *v1alpha1.VolumeBackup) { b.Spec.Export.RepositoryRef.Name = "other" }),
		exported("7", "by hand", time.Hour, func(b *v1alpha1.VolumeBackup) { b.Labels = nil }),
		exported("8", "unexported", time.Hour, func(b *v1alpha1.VolumeBackup) {
			b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionTrue}}
		}),
		exported("9", "web", 0, func(b *v1alpha1.VolumeBackup) { b.Status.CompletionTime, b.Status.Conditions = nil, nil }),
	}
	since := metav1.NewTime(noon)
	news := historiesOf("offsite", policies, backups, &since)
	if len(news) != 1 || news[0].Host != "shop/web" || news[0].Policy != "nightly" || news[0].TimeZone != "Europe/Zurich" || !slices.Equal(news[0].Held, []types.UID{"2", "3", "9"}) {
		t.Errorf("%+v", news)
	}
	if all := historiesOf("offsite", policies, backups, nil); len(all) != 2 || all[0].Host != "shop/old" {
		t.Errorf("the first time: %+v", all)
	}
}
