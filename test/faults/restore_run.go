package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// restoreRun is one performance of a scenario of restores.
type restoreRun struct {
	*round
	scenario *restoreScenario

	app    framework.Application
	backup *v1alpha1.VolumeBackup
	// repository that the backup is in too, empty for none.
	repository string
	// mark is on the volumes since the backup was taken: it tells old data
	// from new.
	mark string
	// before is what was known of the application's pods.
	before []*observation

	guard sync.Mutex
	all   []*v1alpha1.VolumeRestore
	// volumes that were ever bound to a claim of the testbed.
	volumes map[string]*volume
}

// prepare takes a backup, and marks what the application has since.
func (r *restoreRun) prepare(ctx context.Context) error {
	r.testbed.current().lay(nil)
	r.app, r.mark = r.testbed.books, fmt.Sprintf("since-%d", time.Now().UnixNano())
	if r.scenario.shelf {
		if err := r.testbed.withShelf(ctx); err != nil {
			return err
		}
		r.app = r.testbed.shelf
	}
	if err := r.testbed.awaitReady(ctx, r.app); err != nil {
		return err
	}
	if r.scenario.arrange != nil {
		if err := r.scenario.arrange(ctx, r); err != nil {
			return err
		}
	}
	if r.scenario.poison {
		if err := r.inAll(ctx, "echo 1 | dd of=/first/poison conv=fsync 2>/dev/null"); err != nil {
			return err
		}
	}
	if err := r.takeBackup(ctx); err != nil {
		return err
	}
	if err := r.inAll(ctx, fmt.Sprintf("rm -f /first/poison; for f in /first/mark /second/mark; do echo %s | dd of=$f conv=fsync 2>/dev/null; done", r.mark)); err != nil {
		return err
	}
	var err error
	if r.before, err = r.testbed.observeAll(ctx, r.app); err != nil {
		return err
	}
	r.volumes = map[string]*volume{}
	return r.countVolumes(ctx)
}

func (r *restoreRun) takeBackup(ctx context.Context) error {
	changes := []change{held, of(r.app.Ref().Kind, r.app.Name)}
	if r.scenario.exported {
		exported, err := r.toRepository(ctx)
		if err != nil {
			return err
		}
		changes = append(changes, exported)
	}
	var err error
	if r.backup, err = r.testbed.aBackup(ctx, changes...); err != nil {
		return err
	}
	err = poll(ctx, endLimit, "there is a backup", func(ctx context.Context) (string, error) {
		err := r.testbed.Get(ctx, client.ObjectKeyFromObject(r.backup), r.backup)
		return unless(ended(r.backup), "%s %s", r.backup.Status.Phase, r.backup.Status.Message), err
	})
	if err == nil && r.backup.Status.Consistency != v1alpha1.Proven {
		err = fmt.Errorf("the backup is %s %s: %s", r.backup.Status.Phase, r.backup.Status.Consistency, r.backup.Status.Message)
	}
	return err
}

// inAll runs a line in all pods of the application, once they are ready: those of the
// round before may have ended only now.
func (r *restoreRun) inAll(ctx context.Context, line string) error {
	if err := r.testbed.awaitReady(ctx, r.app); err != nil {
		return err
	}
	pods, err := r.testbed.ReadyPods(ctx, r.app)
	if err != nil {
		return err
	}
	for i := range pods {
		if _, err := r.testbed.Sh(ctx, &pods[i], line); err != nil {
			return err
		}
	}
	return nil
}

func (r *restoreRun) begin(ctx context.Context) error {
	if r.scenario.begin != nil {
		return r.scenario.begin(ctx, r)
	}
	return oneRestore(ctx, r)
}

func (r *restoreRun) whileHalted(ctx context.Context) error {
	over := time.NewTimer(ownLimit * time.Second)
	defer over.Stop()
	select {
	case <-over.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// restores are those of the scenario, as last seen.
func (r *restoreRun) restores() []*v1alpha1.VolumeRestore {
	r.guard.Lock()
	defer r.guard.Unlock()
	return slices.Clone(r.all)
}

// settled is true for a restore that has nothing more to do, not even what its
// owner asked for last.
func settled(v *v1alpha1.VolumeRestore) bool {
	if !framework.RestoreEnded(v) || v.Status.ObservedGeneration != v.Generation || !v.DeletionTimestamp.IsZero() {
		return false
	}
	if !v.Spec.RollBack {
		return true
	}
	told := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionRolledBack)
	refused := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionStalled)
	return told != nil && (told.Status == "True" || told.ObservedGeneration == v.Generation) ||
		refused != nil && refused.ObservedGeneration == v.Generation && !restoreIs(v, v1alpha1.ConditionReconciling)
}

// awaitEnd waits until a restore is at its end, or gone.
func (r *restoreRun) awaitEnd(ctx context.Context, v *v1alpha1.VolumeRestore) {
	err := poll(ctx, r.within(2*endLimit), v.Name+" ends", func(ctx context.Context) (string, error) {
		if err := r.countVolumes(ctx); err != nil {
			return "", err
		}
		r.guard.Lock()
		defer r.guard.Unlock()
		if gone, err := r.testbed.gone(ctx, v); gone || err != nil {
			if gone {
				v.Status.Phase = ""
			}
			return "", err
		}
		return unless(settled(v), "%s, %s", v.Status.Phase, v.Status.Message), nil
	})
	if err != nil {
		r.violates("it doesn't converge: %v", err)
	}
}

func (r *restoreRun) end(ctx context.Context) {
	for _, v := range r.restores() {
		r.awaitEnd(ctx, v)
	}
	r.settle(ctx)
	r.goBackAgain(ctx)
	for _, v := range r.restores() { // what broke the cluster may have come late
		r.awaitEnd(ctx, v)
	}
	for _, v := range r.restores() {
		r.checkStatus(v)
	}
	if r.fault.mild {
		r.checkPhases()
	}
	if r.testbed.retired() != "" && !r.noted(&r.tampered) {
		return
	}
	r.checkApplication(ctx)
	r.checkVolumes(ctx)
	r.checkOrphans(ctx)
}

// checkPhases holds the restores to what the scenario wants.
func (r *restoreRun) checkPhases() {
	var are []v1alpha1.RestorePhase
	var said []string
	for _, v := range r.restores() {
		are = append(are, v.Status.Phase)
		said = append(said, v.Status.Message)
	}
	wants := r.scenario.wants
	if slices.Equal(are, wants) {
		return
	}
	if slices.Equal(wants, gone) && slices.Equal(are, completed) {
		return // it was faster than who deleted it
	}
	r.violates("it came to %q and should have come to %q: %s", are, wants, strings.Join(said, "; "))
}

// checkStatus holds a restore at its end to what must be true of its status.
func (r *restoreRun) checkStatus(v *v1alpha1.VolumeRestore) {
	if v.Status.Phase == "" {
		return // it is gone
	}
	not := func(bad bool, format string, args ...any) {
		if bad {
			r.violates("%s: %s (%s: %s)", v.Name, fmt.Sprintf(format, args...), v.Status.Phase, v.Status.Message)
		}
	}
	complete, failed := restoreIs(v, v1alpha1.ConditionComplete), restoreIs(v, v1alpha1.ConditionFailed)
	back := restoreIs(v, v1alpha1.ConditionRolledBack)
	not(complete == failed, "it is not one of Complete and Failed")
	not(restoreIs(v, v1alpha1.ConditionReconciling), "at its end and still Reconciling")
	not(failed && v.Status.Message == "", "Failed without a message")
	not(back != (v.Status.Phase == v1alpha1.RestoreRolledBack), "the phase doesn't fit the condition RolledBack")
	not(complete && !back && v.Status.Phase != v1alpha1.RestoreCompleted, "the phase doesn't fit the condition Complete")
	not(complete && v.Status.ScaledDownAt != nil && v.Status.Downtime == nil, "it doesn't say how long the application was down")
	c := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionFailed)
	not(c != nil && c.Reason == v1alpha1.ReasonRollBackFailed && !r.noted(&r.tampered), "going back failed")
}

// checkApplication waits until the application runs with its replicas, is
// ready and writes, and then looks at what it runs on: on all volumes of all
// pods the same, and that which the status says.
func (r *restoreRun) checkApplication(ctx context.Context) {
	var seen []*observation
	asked := time.Now()
	err := poll(ctx, time.Minute+r.blind, "the application runs", func(ctx context.Context) (string, error) {
		if _, err := r.testbed.ReadyPods(ctx, r.app); err != nil {
			return "", err
		}
		looked, err := r.testbed.observeAll(ctx, r.app)
		if err != nil {
			return "", err
		}
		seen = looked
		for _, s := range seen {
			if !s.lastAt.After(asked) {
				return fmt.Sprintf("the last record of %s is from %s", s.pod, s.lastAt.Format(time.TimeOnly)), nil
			}
			if len(s.leftovers) > 0 {
				return fmt.Sprintf("commands of ours run in it: %q", s.leftovers), nil
			}
		}
		return "", nil
	})
	if err != nil {
		r.violates("the application is DOWN: %v", err)
		return
	}
	isNew, known := r.newer()
	marks := map[string]bool{}
	for _, s := range seen {
		for _, m := range s.marks {
			marks[m] = true
		}
	}
	old := marks[r.mark]
	switch {
	case len(marks) != 1:
		r.violates("TORN: the application runs on data of several times: %v", marks)
	case known && old == isNew:
		r.violates("FALSE: the application runs on its %s data, and the status says otherwise: %s", map[bool]string{true: "old", false: "restored"}[old], r.says())
	}
	if old {
		for i, s := range seen {
			if i < len(r.before) && s.last < r.before[i].last {
				r.violates("LOST: %s had %d records, and has %d", s.pod, r.before[i].last, s.last)
			}
		}
	}
}

func (r *restoreRun) says() string {
	var said []string
	for _, v := range r.restores() {
		said = append(said, fmt.Sprintf("%s %s, %s", v.Name, v.Status.Phase, v.Status.Message))
	}
	return strings.Join(said, "; ")
}

// leave removes all, and lets go what is kept.
func (r *restoreRun) leave(ctx context.Context) {
	var objects []client.Object
	for _, v := range r.restores() {
		objects = append(objects, v)
	}
	for _, o := range append(objects, r.backup) {
		if err := r.testbed.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
			r.broke("%v", err)
		}
	}
	for _, o := range append(objects, r.backup) {
		err := poll(ctx, goneLimit, o.GetName()+" is gone", func(ctx context.Context) (string, error) {
			gone, err := r.testbed.gone(ctx, o)
			return unless(gone, "it is there"), errors.Join(err, r.unstick(ctx))
		})
		if err != nil {
			r.violates("it can't be deleted: %v", err)
		}
	}
	r.settle(ctx)
	r.stopOthers(ctx)
	if r.scenario.tidy != nil {
		if err := r.scenario.tidy(ctx, r); err != nil {
			r.broke("%v", err)
		}
	}
	err := poll(ctx, goneLimit, "no snapshot is left of it", func(ctx context.Context) (string, error) {
		snapshots, contents, err := r.testbed.left(ctx)
		return unless(len(snapshots)+len(contents) == 0, "%d snapshots, %d contents", len(snapshots), len(contents)), err
	})
	if err != nil {
		r.violates("orphans: %v", err)
	}
	if len(r.broken) == 0 {
		if err := r.sweep(ctx); err != nil {
			r.broke("what is kept could not be let go as the documentation says: %v", err)
		}
	}
}

// sweep lets go what restores keep, as its owner does in the end.
func (r *restoreRun) sweep(ctx context.Context) error {
	used, err := r.testbed.mounted(ctx)
	if err != nil {
		return err
	}
	var claims corev1.PersistentVolumeClaimList
	if err := r.testbed.List(ctx, &claims, client.InNamespace(r.testbed.namespace)); err != nil {
		return err
	}
	inUse := map[string]bool{}
	for i := range claims.Items {
		if c := &claims.Items[i]; used[c.Name] {
			inUse[c.Spec.VolumeName] = true
		} else {
			err = errors.Join(err, client.IgnoreNotFound(r.testbed.Delete(ctx, c)))
		}
	}
	if err != nil {
		return err
	}
	return poll(ctx, goneLimit, "all volumes are let go", func(ctx context.Context) (string, error) {
		all, err := r.testbed.boundEver(ctx)
		var left []string
		for i := range all {
			v := &all[i]
			if inUse[v.Name] {
				continue
			}
			left = append(left, v.Name)
			if v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain {
				err = errors.Join(err, client.IgnoreNotFound(r.testbed.Merge(ctx, v, `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)))
			}
		}
		return strings.Join(left, ", "), err
	})
}
