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

// Place is what a task needs of its repository.
type Place struct {
	Kind PlaceKind
	// Most is how many that share the repository may work in it at once.
	Most int32
}

// PlaceKind says with whom a task can be in a repository.
type PlaceKind string

// The kinds of places.
const (
	// Beside is for a look, which disturbs nobody and is disturbed by nobody.
	Beside PlaceKind = "beside"
	// Shared is for exports and restores.
	Shared PlaceKind = "shared"
	// Apart is for what works in no repository.
	Apart PlaceKind = "apart"
	// Alone is for what removes from a repository or changes its keys.
	Alone PlaceKind = "alone"
)

const labelPlace = "lull.dev/place"

// waitsForPlace says what a task waits for in its repository, empty where it may
// begin. Whoever holds a place is known by the Jobs there are, read past the
// cache, so that it holds whoever made them.
func (m *Movers) waitsForPlace(ctx context.Context, in resticexport.JobInput, place Place) (string, error) {
	if place.Kind == Beside || place.Kind == Apart {
		return "", nil
	}
	var jobs batchv1.JobList
	if err := m.Live.List(ctx, &jobs, client.InNamespace(in.Namespace), client.MatchingLabels{v1alpha1.LabelRepository: names.LabelValue(in.Repository)}); err != nil {
		return "", err
	}
	working := map[PlaceKind]int32{}
	for i := range jobs.Items {
		if endOf(&jobs.Items[i]) == nil {
			working[PlaceKind(jobs.Items[i].Labels[labelPlace])]++
		}
	}
	switch {
	case working[Alone] > 0:
		return fmt.Sprintf("waits until repository %s is looked after, which it has to be alone for", in.Repository), nil
	case place.Kind == Alone && working[Shared] > 0:
		return fmt.Sprintf("waits until the %d that work in repository %s are done", working[Shared], in.Repository), nil
	case place.Kind == Shared && working[Shared] >= place.Most:
		return fmt.Sprintf("waits for its turn: %d work in repository %s, as its spec.concurrency lets", working[Shared], in.Repository), nil
	}
	return "", nil
}
