package main

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// limit is how long each step may take on a busy machine.
const limit = 3 * time.Minute

// The claims of the server that is backed up.
const (
	dataClaim = "data"
	logClaim  = "log"
)

// testbed is where the rounds of one database and layout are run, one after the
// other: a namespace with a server that lives as long.
type testbed struct {
	*framework.Cluster
	engine engine
	layout layout
	row    *row
	report *report
	// places is taken a place of by each round.
	places chan struct{}
	seed   uint64

	namespace, version string
	app                framework.Application
	class              client.Object // of snapshots or of groups
}

// run runs the rounds that are still to be run. What is in the way of one is told in
// the report.
func (tb *testbed) run(ctx context.Context) {
	if tb.row.done() || ctx.Err() != nil {
		return
	}
	defer func() {
		if err := tb.close(context.WithoutCancel(ctx)); err != nil {
			tb.report.trouble(tb.row, 0, err)
		}
	}()
	var err error
	if tb.inAPlace(func() { err = tb.start(ctx) }); err != nil {
		tb.report.trouble(tb.row, 0, err)
		return
	}
	for n := tb.row.rounds + 1; n <= tb.row.asked && !tb.row.done() && ctx.Err() == nil; n++ {
		tb.inAPlace(func() { tb.runOne(ctx, n) })
	}
}

func (tb *testbed) inAPlace(do func()) {
	tb.places <- struct{}{}
	defer func() { <-tb.places }()
	do()
}

func (tb *testbed) runOne(ctx context.Context, n int) {
	began := time.Now()
	done, err := tb.round(ctx, n)
	if err != nil {
		tb.report.trouble(tb.row, n, err)
		return
	}
	done.Took = time.Since(began)
	tb.report.add(tb.row, done)
}

// start starts the server that is backed up.
func (tb *testbed) start(ctx context.Context) (err error) {
	if tb.namespace, err = tb.Namespace(ctx, "proof"); err != nil {
		return err
	}
	if err := tb.Merge(ctx, namespace(tb.namespace), `{"metadata":{"labels":{"`+ofProof+`":""}}}`); err != nil {
		return err
	}
	app, beside := tb.engine.original(tb.namespace, dataClaim, tb.logClaim())
	tb.app = app
	if err := errors.Join(tb.CreateAll(ctx, beside...), tb.Start(ctx, app)); err != nil {
		return err
	}
	pod, err := tb.server(ctx)
	if err != nil {
		return err
	}
	if tb.version, err = tb.engine.prepare(ctx, tb.engine.in(tb.Cluster, pod)); err != nil {
		return err
	}
	return tb.makeClass(ctx)
}

func (tb *testbed) logClaim() string {
	if tb.layout.apart {
		return logClaim
	}
	return dataClaim
}

// server is the pod of the server that is backed up.
func (tb *testbed) server(ctx context.Context) (pod *corev1.Pod, err error) {
	err = framework.Await(ctx, limit, "the server is ready", func(ctx context.Context) error {
		pods, err := tb.ReadyPods(ctx, tb.app)
		if err == nil {
			pod = &pods[0]
		}
		return err
	})
	return pod, err
}

// makeClass makes the class of the layout's snapshots.
func (tb *testbed) makeClass(ctx context.Context) error {
	storage, err := tb.StorageClass(ctx)
	if err != nil {
		return err
	}
	var claim corev1.PersistentVolumeClaim
	if err := tb.Get(ctx, client.ObjectKey{Namespace: tb.namespace, Name: tb.logClaim()}, &claim); err != nil {
		return err
	}
	parameters := tb.layout.parameters(tb.engine, claim.Spec.VolumeName)
	if tb.layout.grouped {
		tb.class = framework.GroupClass(storage.Provisioner, parameters)
	} else {
		class := framework.SnapshotClass(storage.Provisioner, parameters)
		if tb.layout.copied {
			class.Annotations = map[string]string{v1alpha1.MarkCopiesFiles: "true"}
		}
		tb.class = class
	}
	return tb.Create(ctx, tb.class)
}
