package main

import (
	"context"
	"errors"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// load is what is written into a database.
type load struct {
	ledger *framework.Writer
	stop   func(context.Context) error
}

// load writes into the server until it is stopped, from an empty ledger on.
func (e engine) load(ctx context.Context, c *framework.Cluster, pod *corev1.Pod) (*load, error) {
	db := e.in(c, pod)
	if _, err := db.Query(ctx, e.busy); err != nil {
		return nil, err
	}
	writer, err := db.StartWriter(ctx)
	if err != nil {
		return nil, err
	}
	var loading sync.WaitGroup
	failures := make([]error, loaders)
	for i := range loaders {
		loading.Go(func() { _, failures[i] = c.Sh(ctx, pod, e.churn) })
	}
	return &load{ledger: writer, stop: func(ctx context.Context) error {
		writer.Stop()
		_, err := db.Query(ctx, e.calm)
		loading.Wait()
		return errors.Join(err, errors.Join(failures...))
	}}, nil
}

// span is how many rows of a ledger a copy has: from the least to the most.
type span struct{ least, most int }

// due are the rows that a copy has to have. Where commits are held, they are those
// that were acknowledged before the freeze, and one may be there that was under
// way. Where none is held, all that were acknowledged before the session held, and
// of those until the cut as it comes. It isn't known before writing has gone on.
func (e engine) due(w *framework.Writer, q *v1alpha1.QuiesceStatus) (due span, known bool) {
	from, until := w.PauseAt(q.FrozenAt.Time), w.PauseAt(q.CutAt.Time)
	if e.holdsCommits {
		from = w.PauseIn(q)
		until = from
	}
	return span{from.Rows, until.Rows + 1}, !until.To.IsZero()
}
