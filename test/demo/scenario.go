package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// patience bounds each wait.
const patience = 5 * time.Minute

type demo struct {
	*framework.Cluster
	say    *narrator
	db     framework.Application
	writer *framework.Writer
	made   *v1alpha1.VolumeBackup
	// committed is how many rows were acknowledged before the freeze.
	committed int
	back      *v1alpha1.VolumeRestore
}

// scenario is what happens, in order.
func (d *demo) scenario() []step {
	return []step{
		{"the cluster", d.lookAtCluster},
		{"a database", d.startDatabase},
		{"a writer", d.startWriter},
		{"a backup", d.backUp},
		{"the verdict", d.judge},
		{"a second one", d.compare},
		{"the first one", d.goOn},
		{"an accident", d.breakIt},
		{"a restore", d.restore},
		{"the way back", d.undo},
		{"a policy", d.schedule},
		{"what is kept", d.keep},
		{"a repository", d.openRepository},
		{"an export", d.export},
		{"a fire", d.loseAll},
		{"from elsewhere", d.bringBack},
	}
}

func (d *demo) lookAtCluster(ctx context.Context) (string, error) {
	version, err := d.Kube.Discovery().ServerVersion()
	if err != nil {
		return "", err
	}
	if err := d.await(ctx, func(ctx context.Context) error { _, err := d.Manager(ctx); return err }); err != nil {
		return "", err
	}
	if err := d.clear(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("Kubernetes %s, with Lull deployed; the demo is in namespace %s", version.GitVersion, namespace), nil
}

// clear removes what the last demo left, and makes the namespace anew.
func (d *demo) clear(ctx context.Context) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if err := d.Delete(ctx, ns); client.IgnoreNotFound(err) != nil {
		return err
	} else if err == nil {
		d.say.meanwhile("removing what the last demo left")
	}
	return d.await(ctx, func(ctx context.Context) error {
		return d.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	})
}

func (d *demo) startDatabase(ctx context.Context) (string, error) {
	d.db = framework.MariaDB(namespace, "shop", "shop-data")
	d.db.Annotations = map[string]string{v1alpha1.AnnotationQuiesce: "mariadb"}
	if _, err := d.ready(ctx, d.db); err != nil {
		return "", err
	}
	return fmt.Sprintf("MariaDB runs as Deployment shop on claim shop-data; its pod template says %s: mariadb", v1alpha1.AnnotationQuiesce), nil
}

// ready starts an application and waits for its pod.
func (d *demo) ready(ctx context.Context, a framework.Application) (pod *corev1.Pod, err error) {
	if err := d.Start(ctx, a); err != nil {
		return nil, err
	}
	err = d.await(ctx, func(ctx context.Context) error {
		pods, err := d.ReadyPods(ctx, a)
		if err == nil {
			pod = &pods[0]
		}
		return err
	})
	return pod, err
}

func (d *demo) startWriter(ctx context.Context) (string, error) {
	pods, err := d.ReadyPods(ctx, d.db)
	if err != nil {
		return "", err
	}
	if d.writer, err = d.MariaDBIn(&pods[0]).StartWriter(ctx); err != nil {
		return "", err
	}
	err = d.await(ctx, func(context.Context) error { return d.writtenMoreThan(200) })
	return fmt.Sprintf("%d rows so far, numbered and checksummed, committed one by one; it goes on", d.writer.Rows()), err
}

func (d *demo) writtenMoreThan(rows int) error {
	if err := d.writer.Err(); err != nil {
		return err
	}
	if n := d.writer.Rows(); n <= rows {
		return fmt.Errorf("the writer is at row %d", n)
	}
	return nil
}

func (d *demo) stopWriter() {
	if d.writer != nil {
		d.writer.Stop()
	}
}

func (d *demo) judge(ctx context.Context) (string, error) {
	status := d.made.Status
	if status.Consistency != v1alpha1.Proven {
		return "", fmt.Errorf("the backup is %s, not %s: %s", status.Consistency, v1alpha1.Proven, status.Message)
	}
	pause, err := d.pauseOf(ctx, d.made)
	return fmt.Sprintf("%s, frozen for %d ms; the writer saw a pause of %d ms after row %d",
		status.Consistency, status.Quiesce.FrozenFor.Milliseconds(), pause.Length().Milliseconds(), pause.Rows), err
}

// pauseOf is the writer's pause around a moment at which the database was surely
// frozen for a backup, once it has gone on.
func (d *demo) pauseOf(ctx context.Context, b *v1alpha1.VolumeBackup) (pause framework.Pause, err error) {
	q := b.Status.Quiesce
	err = d.await(ctx, func(context.Context) error {
		if pause = d.writer.PauseAt(q.FrozenAt.Add(q.CutAt.Sub(q.FrozenAt.Time) / 2)); pause.To.IsZero() {
			return errors.New("the writer has not gone on after the freeze")
		}
		return nil
	})
	return pause, err
}

// compare starts a second database from the snapshot and compares its rows
// with what the first had acknowledged when it was frozen.
func (d *demo) compare(ctx context.Context) (string, error) {
	if err := d.Create(ctx, framework.ClaimFrom(namespace, "copy-data", d.made.Status.Volumes[0])); err != nil {
		return "", err
	}
	pod, err := d.ready(ctx, framework.MariaDB(namespace, "copy", "copy-data"))
	if err != nil {
		return "", err
	}
	ledger, err := d.MariaDBIn(pod).ReadLedger(ctx)
	if err != nil {
		return "", err
	}
	pause, err := d.pauseOf(ctx, d.made)
	if err != nil {
		return "", err
	}
	d.committed = pause.Rows
	if err := check(ledger, d.committed); err != nil {
		return "", err
	}
	return fmt.Sprintf("MariaDB on a claim from the snapshot: %d rows, %d were committed before the freeze, none is missing or damaged", ledger.Rows, d.committed), nil
}

// check holds a ledger against the number of rows that were acknowledged
// before the freeze. A row may have been committed whose acknowledgement was
// still under way.
func check(l framework.Ledger, committed int) error {
	if l.Checked != "OK" || l.Damaged > 0 || l.Rows != l.Last || l.Last < committed || l.Last > committed+1 {
		return fmt.Errorf("%d rows were committed before the freeze, the snapshot holds %+v", committed, l)
	}
	return nil
}

func (d *demo) goOn(ctx context.Context) (string, error) {
	rows := d.writer.Rows()
	err := d.await(ctx, func(context.Context) error { return d.writtenMoreThan(rows) })
	return fmt.Sprintf("it never stopped but for that: the writer is at row %d", d.writer.Rows()), err
}

// await checks until there is no error.
func (d *demo) await(ctx context.Context, check func(context.Context) error) error {
	return framework.Await(ctx, patience, "it is so", check)
}
