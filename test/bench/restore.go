package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// amounts of data that are restored, in MB.
var amounts = []int{50, 5000}

// manners are the ways to restore, by the names of their figures.
var manners = []struct {
	name     string
	strategy v1alpha1.RestoreStrategy
}{
	{"restore-downtime", v1alpha1.StrategyAuto},
	{"restore-downtime-replace", v1alpha1.StrategyReplace},
}

// database is a database that holds so many MB, and its backup.
type database struct {
	framework.Application
	megabytes int
	backup    string
}

// downtimes are all measurements of one manner of restoring one database.
type downtimes struct {
	name string
	db   database
	// asked for, and what was chosen for it.
	asked, chosen v1alpha1.RestoreStrategy
	// bare restarts, restores, and what the restores themselves say.
	bare, restores []outage
	told           []time.Duration
}

// downtimes takes turns: a bare restart and a restore of the same database, of
// one with little data and one with much.
func (b *bench) downtimes(ctx context.Context, rounds int) ([]*downtimes, error) {
	var all []*downtimes
	for _, megabytes := range amounts {
		db, err := b.database(ctx, megabytes)
		if err != nil {
			return nil, err
		}
		for _, m := range manners {
			all = append(all, &downtimes{name: m.name, db: db, asked: m.strategy})
		}
	}
	for round := range rounds + 1 {
		for _, d := range all {
			if err := settle(ctx, round, rounds); err != nil {
				return nil, err
			}
			if err := b.downtime(ctx, d, round > 0); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(os.Stderr, "restores: round %d of %d\n", round, rounds)
	}
	return all, b.clear(ctx, &v1alpha1.VolumeBackup{})
}

// settle lets a database that has just become ready run for a while, as one has
// that is restarted in earnest: the kubelet is seconds late with a pod that it
// has just started. A restore gives it that time anyway, before it stops it.
// The kubelet also looks at its pods only once a second, and a restart takes
// hardly more than that: each round begins at another moment of the second.
func settle(ctx context.Context, round, rounds int) error {
	select {
	case <-time.After(3*time.Second + time.Second*time.Duration(round)/time.Duration(rounds)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// database starts a database, fills its volume and backs it up. What fills it
// is as good as rows to whatever works on the volume, and is written sooner.
func (b *bench) database(ctx context.Context, megabytes int) (database, error) {
	name := fmt.Sprintf("db-%d", megabytes)
	db := database{Application: framework.MariaDB(b.namespace, name, name), megabytes: megabytes, backup: name}
	db.Annotations = map[string]string{v1alpha1.AnnotationQuiesce: "mariadb"}
	// How exactly downtimes are seen.
	if err := errors.Join(b.Create(ctx, roomyClaim(b.namespace, name, megabytes)), b.Start(ctx, db.Application)); err != nil {
		return db, err
	}
	var pods []corev1.Pod
	err := await(ctx, name+" is ready", func(ctx context.Context) (err error) { pods, err = b.ReadyPods(ctx, db.Application); return err })
	if err != nil {
		return db, err
	}
	if _, err := b.Sh(ctx, &pods[0], fmt.Sprintf("head -c %dMB /dev/urandom > %s/filling && sync", megabytes, db.Folder)); err != nil {
		return db, err
	}
	backup := framework.NewBackup(b.namespace, db.Ref())
	backup.Name = name
	return db, b.backUp(ctx, backup)
}

// roomyClaim has room for so much beside the database itself.
func roomyClaim(namespace, name string, megabytes int) *corev1.PersistentVolumeClaim {
	claim := framework.Claim(namespace, name)
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	size.Add(*resource.NewScaledQuantity(int64(megabytes), resource.Mega))
	size.Add(*resource.NewScaledQuantity(int64(megabytes/10), resource.Mega)) // of a file system
	claim.Spec.Resources.Requests[corev1.ResourceStorage] = size
	return claim
}

// downtime takes each figure once. The first round is not kept: it warms up.
func (b *bench) downtime(ctx context.Context, d *downtimes, keep bool) error {
	app := d.db.Application
	bare, err := b.outage(ctx, app, func(ctx context.Context) error { return b.restart(ctx, app) })
	if err != nil {
		return fmt.Errorf("restart of %s: %w", app.Name, err)
	}
	restore := d.newRestore()
	restored, err := b.outage(ctx, app, func(ctx context.Context) error { return b.restore(ctx, restore) })
	if err != nil {
		return fmt.Errorf("restore of %s: %w", app.Name, err)
	}
	if d.chosen = restore.Status.Strategy; keep {
		d.bare = append(d.bare, bare)
		d.restores = append(d.restores, restored)
		d.told = append(d.told, restore.Status.Downtime.Duration)
	}
	return b.forget(ctx, restore)
}

func (d *downtimes) newRestore() *v1alpha1.VolumeRestore {
	return &v1alpha1.VolumeRestore{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.db.Namespace, GenerateName: "bench-"},
		Spec: v1alpha1.VolumeRestoreSpec{
			Source:         v1alpha1.RestoreSource{VolumeBackupRef: &v1alpha1.LocalReference{Name: d.db.backup}},
			Target:         v1alpha1.RestoreTarget{Strategy: d.asked},
			PreviousClaims: v1alpha1.PreviousDelete,
		},
	}
}

func (b *bench) restore(ctx context.Context, r *v1alpha1.VolumeRestore) error {
	if err := b.Create(ctx, r); err != nil {
		return err
	}
	return await(ctx, "the restore is complete", func(ctx context.Context) error {
		if err := b.Get(ctx, client.ObjectKeyFromObject(r), r); err != nil {
			return err
		}
		if framework.RestoreIs(r, v1alpha1.ConditionComplete) {
			return nil
		}
		return errors.New(r.Status.Message)
	})
}

// forget deletes a restore and waits until nothing is left of what it replaced:
// the next measurement finds storage that has nothing else to do.
func (b *bench) forget(ctx context.Context, r *v1alpha1.VolumeRestore) error {
	if err := b.Delete(ctx, r); err != nil {
		return err
	}
	return await(ctx, "the previous volumes are gone", func(ctx context.Context) error {
		if err := b.Get(ctx, client.ObjectKeyFromObject(r), r); client.IgnoreNotFound(err) != nil || err == nil {
			return errors.Join(err, fmt.Errorf("%s is there", r.Name))
		}
		return b.volumesAreGone(ctx)
	})
}

// volumesAreGone is an error while there is a volume that no claim has any more.
func (b *bench) volumesAreGone(ctx context.Context) error {
	var volumes corev1.PersistentVolumeList
	if err := b.List(ctx, &volumes); err != nil {
		return err
	}
	for _, v := range volumes.Items {
		if v.Spec.ClaimRef != nil && v.Spec.ClaimRef.Namespace == b.namespace && v.Status.Phase != corev1.VolumeBound {
			return fmt.Errorf("%s is there", v.Name)
		}
	}
	return nil
}

func printDowntimes(out io.Writer, all []*downtimes, rounds int) {
	fmt.Fprintf(out, "\nHow long a database is down for a restore, beside a bare restart of it, in ms; %d rounds\n\n", rounds)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "MB\tstrategy\tbare\tp99\trestore\tp99\trestore / bare\ttold by the status\t")
	for _, d := range all {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%.2f\t%s\t\n", d.db.megabytes, d.chosen,
			ms(median(lengths(d.bare))), ms(quantile(.99, lengths(d.bare))), ms(median(lengths(d.restores))), ms(quantile(.99, lengths(d.restores))),
			median(lengths(d.restores)).Seconds()/median(lengths(d.bare)).Seconds(), ms(median(d.told)))
	}
	w.Flush()
}

// drawDowntimes draws a bare restart of the database with little data, and a
// restore of it by each strategy.
func drawDowntimes(o options, all []*downtimes) error {
	if o.picture == "" {
		return nil
	}
	var lines []*timeline
	draw := func(d *downtimes, title string, one outage) error {
		requests, err := readAudit(o.audit, d.db.Namespace, one.from, one.to)
		if err != nil {
			return err
		}
		line, err := newTimeline(title, requests)
		lines = append(lines, line)
		return err
	}
	for i, d := range all[:len(manners)] {
		if i == 0 {
			if err := draw(d, "a bare restart", typical(d.bare)); err != nil {
				return err
			}
		}
		if err := draw(d, "a restore by "+string(d.chosen), typical(d.restores)); err != nil {
			return err
		}
	}
	return writePicture(o.picture, lines)
}

func downtimeLines(all []*downtimes, rounds int) []line {
	var lines []line
	for _, d := range all {
		value, baseline := median(lengths(d.restores)).Seconds(), median(lengths(d.bare)).Seconds()
		lines = append(lines, line{
			Name: d.name, N: d.db.megabytes, Unit: "s", Value: value, Baseline: baseline, Ratio: value / baseline,
			P99: quantile(.99, lengths(d.restores)).Seconds(), BaselineP99: quantile(.99, lengths(d.bare)).Seconds(), Rounds: rounds,
			Strategy: string(d.chosen),
		})
	}
	return lines
}
