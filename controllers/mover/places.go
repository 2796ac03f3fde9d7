package mover

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/names"
)

// Place is what a task needs of its repository. One that reads a second repository
// needs there what a copy needs.
type Place struct {
	Kind PlaceKind
	// Most is how many that share the repository may work in it at once.
	Most int32
	// Waits says why nothing may begin there yet, empty where it may. What has begun is
	// looked at all the same.
	Waits string
	// Complete completes the task once it has its place, so that what that takes isn't
	// read again and again for everybody who waits. nil where the task is complete.
	Complete func(context.Context, *resticexport.Task) error
	// First makes what the mover needs, once it has its place, and again while its pod
	// doesn't start. waits says what is waited for. nil where it needs nothing.
	First func(context.Context) (waits string, err error)
}

func (p *Place) complete(ctx context.Context, task *resticexport.Task) error {
	if p.Complete == nil {
		return nil
	}
	return p.Complete(ctx, task)
}

func (p *Place) first(ctx context.Context) (waits string, err error) {
	if p.First == nil {
		return "", nil
	}
	return p.First(ctx)
}

// PlaceKind says with whom a task can be in a repository.
type PlaceKind string

// The kinds of places.
const (
	// Beside is for a look, which disturbs nobody and is disturbed by nobody.
	Beside PlaceKind = "beside"
	// Shared is for exports and restores.
	Shared PlaceKind = "shared"
	// Copying is for a copy of one repository into another: exports and restores go on
	// beside it in both, and don't wait for it.
	Copying PlaceKind = "copying"
	// Apart is for what works in no repository.
	Apart PlaceKind = "apart"
	// Alone is for what removes from a repository or changes its keys.
	Alone PlaceKind = "alone"
)

const labelPlace = "lull.dev/place"

// waitsForPlace says what a task waits for in its repository, and in the one that it
// reads besides, empty where it may begin. Whoever holds a place is known by the Jobs
// there are, read past the cache, so that it holds whoever made them.
func (m *Movers) waitsForPlace(ctx context.Context, in resticexport.JobInput, place Place) (string, error) {
	if place.Waits != "" {
		return place.Waits, nil
	}
	if place.Kind == Beside || place.Kind == Apart {
		return "", nil
	}
	working, err := m.working(ctx, in.Namespace, in.Repository)
	if err != nil {
		return "", err
	}
	waits := waitsIn(in.Repository, working, place)
	if waits != "" || in.From == nil {
		return waits, nil
	}
	working, err = m.working(ctx, in.Namespace, in.From.Name)
	return waitsIn(in.From.Name, working, Place{Kind: Copying}), err
}

// working is how many work in a repository, in each kind of place. Whoever reads it
// for another repository has that of a copy.
func (m *Movers) working(ctx context.Context, namespace, repository string) (map[PlaceKind]int32, error) {
	var jobs batchv1.JobList
	if err := m.Live.List(ctx, &jobs, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}); err != nil {
		return nil, err
	}
	working, name := map[PlaceKind]int32{}, names.LabelValue(repository)
	for i := range jobs.Items {
		job := &jobs.Items[i]
		switch {
		case endOf(job) != nil:
		case job.Labels[v1alpha1.LabelRepository] == name:
			working[PlaceKind(job.Labels[labelPlace])]++
		case job.Labels[v1alpha1.LabelFromRepository] == name:
			working[Copying]++
		}
	}
	return working, nil
}

// waitsIn says what a task waits for in one repository.
func waitsIn(repository string, working map[PlaceKind]int32, place Place) string {
	switch {
	case working[Alone] > 0:
		return fmt.Sprintf("waits until repository %s is looked after, which it has to be alone for", repository)
	case place.Kind == Alone && working[Shared]+working[Copying] > 0:
		return fmt.Sprintf("waits until the %d that work in repository %s are done", working[Shared]+working[Copying], repository)
	case place.Kind == Copying && working[Copying] > 0:
		return fmt.Sprintf("waits for its turn: another copy from or to repository %s is under way", repository)
	case place.Kind == Shared && working[Shared] >= place.Most:
		return fmt.Sprintf("waits for its turn: %d work in repository %s, as its spec.concurrency lets", working[Shared], repository)
	}
	return ""
}

// waitsForInit says that a Job waits for another that makes a repository at the same
// place, of whatever namespace: that one is found once it is made. Two at once would
// ruin it.
func (m *Movers) waitsForInit(ctx context.Context, job *batchv1.Job) (string, error) {
	at, makes := job.Labels[resticexport.LabelInit]
	if !makes {
		return "", nil
	}
	var jobs batchv1.JobList
	if err := m.Live.List(ctx, &jobs, client.MatchingLabels{resticexport.LabelInit: at}); err != nil {
		return "", err
	}
	for i := range jobs.Items {
		if other := &jobs.Items[i]; endOf(other) == nil && client.ObjectKeyFromObject(other) != client.ObjectKeyFromObject(job) {
			return "waits until another ResticRepository at the same place is made", nil
		}
	}
	return "", nil
}
