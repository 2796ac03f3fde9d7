package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// How long a freeze may last, and how many rows are written before it: at least
// so many, and some more by chance.
const (
	freezeLimit  = 60 * time.Second
	fewestRows   = 150
	rowsByChance = 300
)

// round loads, backs up, restores, starts and reads. An error is of the test.
func (tb *testbed) round(ctx context.Context, n int) (done result, err error) {
	done = result{Database: tb.row.database, Layout: tb.layout.name, Version: tb.version, Round: n}
	random := rand.New(rand.NewPCG(tb.seed, uint64(n)))
	backup, due, err := tb.backUp(ctx, fewestRows+random.IntN(rowsByChance))
	if backup != nil {
		defer func() { err = errors.Join(err, client.IgnoreNotFound(tb.Delete(ctx, backup))) }()
	}
	if err != nil {
		return done, err
	}
	done.Verdict = backup.Status.Consistency
	done.Faults, err = tb.startCopy(ctx, fmt.Sprintf("copy-%d", n), backup, due)
	return done, err
}

// backUp takes a backup once so many rows are written, and tells which rows are due.
func (tb *testbed) backUp(ctx context.Context, enough int) (b *v1alpha1.VolumeBackup, due span, err error) {
	pod, err := tb.server(ctx)
	if err != nil {
		return nil, due, err
	}
	load, err := tb.engine.load(ctx, tb.Cluster, pod)
	if err != nil {
		return nil, due, err
	}
	defer func() { err = errors.Join(err, load.stop(context.WithoutCancel(ctx))) }()
	err = framework.Await(ctx, limit, "the load is under way", func(context.Context) error {
		if rows := load.ledger.Rows(); rows < enough {
			return errors.Join(fmt.Errorf("%d of %d rows are written", rows, enough), load.ledger.Err())
		}
		return nil
	})
	if err != nil {
		return nil, due, err
	}
	b = framework.NewBackup(tb.namespace, tb.app.Ref(), tb.way(), framework.Within(freezeLimit))
	if err := tb.Create(ctx, b); err != nil {
		return nil, due, err
	}
	if err := tb.awaitBackup(ctx, b); err != nil {
		return b, due, err
	}
	return b, due, framework.Await(ctx, limit, "writing goes on after the freeze", func(context.Context) error {
		var known bool
		if due, known = tb.engine.due(load.ledger, b.Status.Quiesce); !known {
			return errors.Join(errors.New("no row was written since"), load.ledger.Err())
		}
		return nil
	})
}

// way is how the layout's volumes are cut.
func (tb *testbed) way() framework.Change {
	if tb.layout.grouped {
		return framework.OfGroupClass(tb.class.GetName())
	}
	return framework.OfClass(tb.class.GetName())
}

func (tb *testbed) awaitBackup(ctx context.Context, b *v1alpha1.VolumeBackup) error {
	err := framework.Await(ctx, limit, "the backup has ended", func(ctx context.Context) error {
		if err := tb.Get(ctx, client.ObjectKeyFromObject(b), b); err != nil {
			return err
		}
		if !framework.BackupEnded(b) {
			return errors.New(b.Status.Message)
		}
		return nil
	})
	if err == nil && !framework.BackupIs(b, v1alpha1.ConditionComplete) {
		return fmt.Errorf("the backup failed: %s", b.Status.Message)
	}
	return err
}

// startCopy starts a server on what was backed up and has it examined. Of the copy
// nothing is left.
func (tb *testbed) startCopy(ctx context.Context, name string, b *v1alpha1.VolumeBackup, due span) (faults []string, err error) {
	claims := map[string]string{}
	var made []client.Object
	for _, v := range b.Status.Volumes {
		claims[v.ClaimName] = name + "-" + v.ClaimName
		made = append(made, framework.ClaimFrom(tb.namespace, claims[v.ClaimName], v))
	}
	app, beside := tb.engine.copied(tb.namespace, name, claims[dataClaim], claims[tb.logClaim()])
	made = append(append(made, beside...), app.Workload())
	defer func() {
		for _, o := range made {
			err = errors.Join(err, client.IgnoreNotFound(tb.Delete(context.WithoutCancel(ctx), o)))
		}
	}()
	if err := tb.CreateAll(ctx, made...); err != nil {
		return nil, err
	}
	var pod *corev1.Pod
	err = framework.Await(ctx, limit, "the copy's pod runs", func(ctx context.Context) error {
		pods, err := tb.ReadyPods(ctx, app)
		if err == nil {
			pod = &pods[0]
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return tb.engine.examine(ctx, tb.Cluster, pod, due)
}
