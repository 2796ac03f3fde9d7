package repository

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
)

func TestSnapshotsThatVanish(t *testing.T) {
	forgetting := func(n int) *resticexport.Result {
		return &resticexport.Result{Done: true, Forget: &resticexport.ForgottenSnapshots{Forgotten: n}}
	}
	for name, c := range map[string]struct {
		before   int32                // -1: nobody knows
		then     *resticexport.Result // of a task that forgets
		now      int
		vanished int32 // how many there were, 0 for none that vanished
	}{
		"the first look":                 {before: -1, now: 7},
		"some were forgotten":            {before: 10, now: 5},
		"most were forgotten":            {before: 10, now: 4, vanished: 10},
		"all were forgotten":             {before: 1, now: 0, vanished: 1},
		"others were copied into it":     {before: 10, now: 30},
		"by Lull":                        {before: 10, then: forgetting(8), now: 2},
		"by Lull, and others":            {before: 10, then: forgetting(2), now: 2, vanished: 8},
		"by Lull, nobody knows how many": {before: 10, then: &resticexport.Result{Cause: resticexport.CauseUnreachable}, now: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := &v1alpha1.ResticRepository{}
			if c.before >= 0 {
				r.Status.Snapshots, r.Status.ExpectedSnapshots = c.before, &c.before
			}
			if c.then != nil {
				recordTask(r, taskRetain, &resticexport.Task{Retain: &resticexport.Retain{}}, *c.then, noon)
			}
			news := recordContents(&r.Status, &resticexport.OpenedRepository{Snapshots: c.now, Newest: &noon, Hosts: []string{"shop/web"}, HostCount: 1}, metav1.NewTime(noon))
			if v := r.Status.Vanished; news != (c.vanished > 0) || (v != nil) != news || news && v.Before != c.vanished {
				t.Errorf("%t, %+v", news, v)
			}
			if has := r.Status.Contents; r.Status.Snapshots != int32(c.now) || has.HostCount != 1 || has.Hosts[0] != "shop/web" || !has.NewestTime.Time.Equal(noon) {
				t.Errorf("%+v", r.Status)
			}
		})
	}
}

func TestWhatHasVanishedIsNotPruned(t *testing.T) {
	r := aMaintained()
	r.Status.ExpectedSnapshots = ptr.To[int32](100)
	look := func(n int, at time.Time) {
		recordContents(&r.Status, &resticexport.OpenedRepository{Snapshots: n}, metav1.NewTime(at))
	}
	late := noon.Add(7 * 24 * time.Hour)
	look(10, noon)
	look(12, noon.Add(time.Hour)) // exports go on
	if v := r.Status.Vanished; v == nil || v.Before != 100 || !v.Since.Time.Equal(noon) || !strings.Contains(whatVanished(r), "100 snapshots were there, and 12 are now") {
		t.Fatalf("%+v", r.Status)
	}
	name, task, _ := next(t, r, late) // what is there may be whole
	recordTask(r, name, task, resticexport.Result{Done: true}, late)
	if name, task, _ := next(t, r, late); task != nil {
		t.Errorf("then comes %s", name)
	}
	look(50, late)
	if name, _, _ := next(t, r, late); r.Status.Vanished != nil || name != taskPrune {
		t.Errorf("they are back: %+v, %q", r.Status.Vanished, name)
	}
}

func TestOnlyThisLossIsAccepted(t *testing.T) {
	r := aMaintained()
	r.Status.Vanished = &v1alpha1.VanishedSnapshots{Before: 10, Since: metav1.NewTime(noon)}
	w := &run{Scope: &reconcile.Scope[*v1alpha1.ResticRepository]{Object: r}, Reconciler: &Reconciler{}}
	for said, isAccepted := range map[string]bool{"": false, "0": false, "2020-01-01T00:00:00Z": false, noon.Format(time.RFC3339): true} {
		r.Annotations = map[string]string{v1alpha1.AnnotationAcceptSnapshots: said}
		v := r.Status.Vanished
		if is := w.isAccepted(); is != isAccepted {
			t.Errorf("%q: %t", said, is)
		}
		r.Status.Vanished = v
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
