package repository

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// twoManagers both believe that they lead. Right before those writes of the first, counted
// from 1, the second looks and does what it finds to do.
type twoManagers struct {
	*place
	first, second *Reconciler
	looksAt       func(write int) bool
	looks         bool
	writes        int
	// made counts how often each Job was made.
	made map[string]int
}

func (p *place) twoManagers(looksAt func(int) bool) *twoManagers {
	two := &twoManagers{place: p, looksAt: looksAt, made: map[string]int{}}
	two.first, two.second = two.manager(two.beforeWrite), two.manager(func() {})
	return two
}

func (two *twoManagers) manager(before func()) *Reconciler {
	writes := interceptor.NewClient(two.Client.(client.WithWatch), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			before()
			err := c.Create(ctx, obj, opts...)
			if err == nil {
				two.made[obj.GetName()]++
			}
			return err
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			before()
			return c.Delete(ctx, obj, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			before()
			return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
		},
	})
	return &Reconciler{Client: writes, Live: writes, Movers: &mover.Movers{Writes: writes, Live: writes}, Events: two.told, Clock: two.clock}
}

func (two *twoManagers) beforeWrite() {
	if two.looks {
		return
	}
	if two.writes++; two.looksAt(two.writes) {
		two.looks = true
		two.look(two.second)
		two.looks = false
	}
}

// look is one reconcile of the repository first.
func (two *twoManagers) look(r *Reconciler) {
	two.t.Helper()
	_, err := r.loop().Reconcile(two.t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "first"}})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
		two.t.Fatal(err) // it isn't that the other was faster
	}
}

// aWeek is what a repository comes to for which all is due: a look, a check, a prune and a
// copy to another.
func aWeek(t *testing.T, looksAt func(int) bool) *twoManagers {
	t.Helper()
	p := aPlace(t)
	p.change("first", func(r *v1alpha1.ResticRepository) {
		r.Spec.Maintenance.Check = &v1alpha1.CheckMaintenance{Schedule: "@weekly"}
		r.Spec.Maintenance.Prune = &v1alpha1.PruneMaintenance{Schedule: "@weekly"}
	})
	p.clock.Step(8 * 24 * time.Hour)
	two := p.twoManagers(looksAt)
	for range 12 {
		two.look(two.first)
		two.aloneWhereTheyHaveToBe()
		two.endAll()
		two.clock.Step(time.Second)
	}
	return two
}

// aloneWhereTheyHaveToBe fails where a mover is beside one that has to be alone.
func (two *twoManagers) aloneWhereTheyHaveToBe() {
	two.t.Helper()
	working, alone := []string{}, false
	for _, job := range two.jobs("") {
		if kind := mover.PlaceKind(job.Labels["lull.dev/place"]); len(job.Status.Conditions) == 0 && kind != mover.Beside {
			working, alone = append(working, job.Name), alone || kind == mover.Alone
		}
	}
	if alone && len(working) > 1 {
		two.t.Errorf("one of these has to be alone: %v", working)
	}
}

// endAll has all movers that work come to their ends.
func (two *twoManagers) endAll() {
	two.t.Helper()
	for _, job := range two.jobs("") {
		if len(job.Status.Conditions) > 0 {
			continue
		}
		result := resticexport.Result{Done: true}
		switch {
		case strings.HasPrefix(job.Name, "open"):
			result.Repository = &resticexport.OpenedRepository{ID: "restic's first", ExportsHash: "h1"}
		case strings.HasPrefix(job.Name, "copy"):
			result = copiedAll("h1")
		case strings.HasPrefix(job.Name, "check"):
			result.Check = &resticexport.CheckedRepository{}
		}
		two.end(&job, result)
	}
}

// outcome is what it has come to, but for the times.
func (two *twoManagers) outcome() string {
	s := two.now("first").Status
	return fmt.Sprintf("checked %t, pruned %t, looked %t, failed %v, copied %s, Jobs %v",
		s.LastCheckTime != nil, s.LastPruneTime != nil, s.LastLookTime.After(noon), s.FailedTasks, copiedOf(two.now("first")), slices.Sorted(maps.Keys(two.made)))
}

// Leader election keeps two managers from working at once; where it fails them a repository
// comes to the same, each task is done once, and none beside one that has to be alone.
func TestTwoManagersAtOnceDoEachTaskOnce(t *testing.T) {
	alone := aWeek(t, func(int) bool { return false })
	want := alone.outcome()
	for _, done := range []string{"checked true", "pruned true", "looked true", "copied True"} {
		if !strings.Contains(want, done) {
			t.Fatalf("by one manager it is: %s", want)
		}
	}
	check := func(when string, looksAt func(int) bool) {
		two := aWeek(t, looksAt)
		if got := two.outcome(); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
		for job, times := range two.made {
			if times > 1 {
				t.Errorf("%s: Job %s was made %d times", when, job, times)
			}
		}
	}
	check("both at each write", func(int) bool { return true })
	for at := range alone.writes {
		check(fmt.Sprintf("the second before write %d", at+1), func(write int) bool { return write == at+1 })
	}
}
