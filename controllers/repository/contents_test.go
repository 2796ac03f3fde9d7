package repository

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

func TestSnapshotsThatVanish(t *testing.T) {
	for name, c := range map[string]struct {
		before   int32
		then     *resticexport.Result // of a task that forgets
		now      int
		vanished string
	}{
		"the first look":                 {before: 0, now: 7},
		"some were forgotten":            {before: 10, now: 5},
		"most were forgotten":            {before: 10, now: 4, vanished: "10 snapshots were there at the last look, and 4 are now"},
		"all were forgotten":             {before: 1, now: 0, vanished: "1 snapshots were"},
		"by Lull":                        {before: 10, then: &resticexport.Result{Done: true, Forget: &resticexport.ForgottenSnapshots{Forgotten: 8}}, now: 2},
		"by Lull, and others":            {before: 10, then: &resticexport.Result{Done: true, Forget: &resticexport.ForgottenSnapshots{Forgotten: 2}}, now: 2, vanished: "8 snapshots were"},
		"by Lull, nobody knows how many": {before: 10, then: &resticexport.Result{Cause: resticexport.CauseUnreachable}, now: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := &v1alpha1.ResticRepository{}
			r.Status.Snapshots = c.before
			if c.then != nil {
				recordTask(r, taskRetain, &resticexport.Task{Retain: &resticexport.Retain{}}, *c.then, noon)
			}
			vanished := recordContents(&r.Status, &resticexport.OpenedRepository{Snapshots: c.now, Newest: &noon, Hosts: []string{"shop/web"}, HostCount: 1})
			if !strings.HasPrefix(vanished, c.vanished) || (vanished == "") != (c.vanished == "") {
				t.Errorf("%q, not %q", vanished, c.vanished)
			}
			if has := r.Status.Contents; r.Status.Snapshots != int32(c.now) || has.HostCount != 1 || has.Hosts[0] != "shop/web" || !has.NewestTime.Time.Equal(noon) {
				t.Errorf("%+v", r.Status)
			}
		})
	}
}

func TestTheFirstLookOfADayMeasures(t *testing.T) {
	r := aMaintained()
	at := metav1.NewTime(noon)
	r.Status.LastLookTime = &at
	if !isFirstOfDay(&r.Status, noon) {
		t.Error("it was never measured")
	}
	r.Status.Size = resource.NewQuantity(1024, resource.BinarySI)
	if isFirstOfDay(&r.Status, noon.Add(11*time.Hour)) || !isFirstOfDay(&r.Status, noon.Add(13*time.Hour)) {
		t.Error("it isn't the first of its day alone that measures")
	}
}

func TestMetricsOfRepositories(t *testing.T) {
	h := health{of: map[types.NamespacedName]state{}}
	note := func(name, uid string, ready, healthy metav1.ConditionStatus) {
		r := &v1alpha1.ResticRepository{}
		r.UID, r.Status.Size = types.UID(uid), resource.NewQuantity(1024, resource.BinarySI)
		r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: ready}, {Type: v1alpha1.ConditionHealthy, Status: healthy}}
		h.note(types.NamespacedName{Namespace: "metrics", Name: name}, r)
	}
	is := func(healthy, bytes float64) {
		t.Helper()
		if h, b := testutil.ToFloat64(repositoryHealthy.WithLabelValues("metrics")), testutil.ToFloat64(repositorySize.WithLabelValues("metrics")); h != healthy || b != bytes {
			t.Errorf("healthy %v, not %v; %v bytes, not %v", h, healthy, b, bytes)
		}
	}
	note("a", "1", metav1.ConditionTrue, metav1.ConditionUnknown)
	is(1, 1024)
	note("b", "2", metav1.ConditionTrue, metav1.ConditionFalse)
	is(0, 2048)
	note("b", "", metav1.ConditionTrue, metav1.ConditionTrue)
	is(1, 1024)
	note("a", "1", metav1.ConditionFalse, metav1.ConditionTrue)
	is(0, 1024)
	note("a", "", metav1.ConditionTrue, metav1.ConditionTrue)
	if n := testutil.CollectAndCount(repositoryHealthy); n != 0 {
		t.Errorf("of a namespace without repositories %d are told", n)
	}
}
