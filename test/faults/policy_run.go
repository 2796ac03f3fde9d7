package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// policyRun is one performance of a scenario of policies. Its backups are held to
// all that others are.
type policyRun struct {
	*backupRun
	scenario *policyScenario
	// name of the policy.
	name string
	// due are the due times that there is to be a backup for, and asked is how
	// many people asked for.
	due   []time.Time
	asked int
	// before are the backups that were there before it, by name.
	before map[string]bool
	// handles are what the storage calls the copies that there ever were, by the
	// names of their contents.
	handles map[string]string
}

func newPolicyRun(r *round, s *policyScenario) *policyRun {
	backups := &backupRun{round: r, scenario: &backupScenario{wants: anything}}
	return &policyRun{backupRun: backups, scenario: s, name: policyName(), before: map[string]bool{}, handles: map[string]string{}}
}

// policyName is another one each time: who has deleted what of a policy, the
// manager remembers by its name.
func policyName() string { return "policy-" + strings.ToLower(rand.Text()[:6]) }

func (r *policyRun) app() v1alpha1.ApplicationReference {
	return cmp.Or(r.scenario.of, r.testbed.books.Ref())
}

// template is what the policy's backups are made from, and verdict what they are
// to come to.
func (r *policyRun) template() []change {
	all := []change{attempts(tries)}
	if r.app() == r.testbed.books.Ref() {
		all = append(all, held)
	}
	return append(all, r.scenario.template...)
}

func (r *policyRun) verdict() v1alpha1.Consistency {
	if r.app() == r.testbed.books.Ref() {
		return v1alpha1.Proven
	}
	return v1alpha1.Declared
}

// prepare makes the backups that are there before the policy.
func (r *policyRun) prepare(ctx context.Context) error {
	r.testbed.current().lay(nil)
	if err := r.follow(ctx); err != nil {
		return err
	}
	var made []*v1alpha1.VolumeBackup
	for range r.scenario.before {
		b := framework.NewBackup(r.testbed.namespace, r.app(), r.template()...)
		b.Labels = map[string]string{v1alpha1.LabelPolicy: r.name}
		if err := r.testbed.Create(ctx, b); err != nil {
			return err
		}
		made = append(made, b)
	}
	for _, b := range made {
		err := poll(ctx, endLimit, b.Name+" is complete", func(ctx context.Context) (string, error) {
			err := r.testbed.Get(ctx, client.ObjectKeyFromObject(b), b)
			return unless(isTrue(b, v1alpha1.ConditionComplete), "%s %s", b.Status.Phase, b.Status.Message), err
		})
		if err != nil {
			return err
		}
	}
	for _, b := range made {
		r.before[b.Name] = true
	}
	return nil
}

// follow notes every backup that there is at any time, and what the storage calls
// the copies, for as long as the round lasts.
func (r *policyRun) follow(ctx context.Context) error {
	objects, err := cache.New(r.testbed.Config, cache.Options{
		Scheme: r.testbed.Scheme(), Mapper: r.testbed.RESTMapper(), DefaultNamespaces: map[string]cache.Config{r.testbed.namespace: {}},
		// By default it is logged. The API server is away on purpose.
		DefaultWatchErrorHandler: func(context.Context, *toolscache.Reflector, error) {},
	})
	if err != nil {
		return err
	}
	for _, kind := range []client.Object{&v1alpha1.VolumeBackup{}, &snapshotv1.VolumeSnapshotContent{}} {
		all, err := objects.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return err
		}
		if _, err := all.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: r.see, UpdateFunc: func(_, now any) { r.see(now) }}); err != nil {
			return err
		}
	}
	go func() {
		if err := objects.Start(ctx); err != nil {
			r.broke("%v", err)
		}
	}()
	return nil
}

func (r *policyRun) see(obj any) {
	r.guard.Lock()
	defer r.guard.Unlock()
	switch o := obj.(type) {
	case *v1alpha1.VolumeBackup:
		r.seeBackup(o)
	case *snapshotv1.VolumeSnapshotContent:
		if o.Spec.VolumeSnapshotRef.Namespace == r.testbed.namespace && o.Status != nil && o.Status.SnapshotHandle != nil {
			r.handles[o.Name] = *o.Status.SnapshotHandle
		}
	}
}

// handleOf is what the storage calls the copy of a content, empty where that
// wasn't seen.
func (r *policyRun) handleOf(content string) string {
	r.guard.Lock()
	defer r.guard.Unlock()
	return r.handles[content]
}

func (r *policyRun) seeBackup(b *v1alpha1.VolumeBackup) {
	i := slices.IndexFunc(r.all, func(known *v1alpha1.VolumeBackup) bool { return known.UID == b.UID })
	switch {
	case i < 0:
		r.all = append(r.all, b.DeepCopy())
	case r.all[i].DeletionTimestamp.IsZero():
		r.all[i] = b.DeepCopy()
	}
}

// aPolicy makes the policy.
func (r *policyRun) aPolicy(ctx context.Context, schedule string, changes ...func(*v1alpha1.SnapshotPolicy)) (*v1alpha1.SnapshotPolicy, error) {
	p := &v1alpha1.SnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: r.testbed.namespace, Name: r.name}}
	p.Spec.Schedule = schedule
	p.Spec.Applications.Refs = []v1alpha1.ApplicationReference{r.app()}
	p.Spec.Template.Spec.BackupSettings = framework.NewBackup(r.testbed.namespace, r.app(), r.template()...).Spec.BackupSettings
	if n := r.scenario.keepLast; n > 0 {
		p.Spec.Retention.Snapshots = &v1alpha1.RetentionRules{KeepLast: int32(n)}
	}
	for _, change := range changes {
		change(p)
	}
	return p, r.testbed.Create(ctx, p)
}

func (r *policyRun) begin(ctx context.Context) error { return r.scenario.begin(ctx, r) }

func (r *policyRun) end(ctx context.Context) {
	r.awaitMade(ctx)
	r.catchUp(ctx)
	r.backupRun.end(ctx)
	r.checkMade()
	r.checkKept(ctx)
	r.checkStatus(ctx)
}

// catchUp sees the backups and the copies that there are: after an outage the watch may be behind.
func (r *policyRun) catchUp(ctx context.Context) {
	err := poll(ctx, endLimit, "the backups are listed", func(ctx context.Context) (string, error) {
		var all v1alpha1.VolumeBackupList
		err := r.testbed.List(ctx, &all, client.InNamespace(r.testbed.namespace))
		for i := range all.Items {
			r.see(&all.Items[i])
		}
		_, contents, contentsErr := r.testbed.left(ctx)
		for i := range contents {
			r.see(&contents[i])
		}
		return "", errors.Join(err, contentsErr)
	})
	if err != nil {
		r.broke("%v", err)
	}
}

// leave removes the policy, and then its backups, which it doesn't take along.
func (r *policyRun) leave(ctx context.Context) {
	p := &v1alpha1.SnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: r.testbed.namespace, Name: r.name}}
	if err := r.testbed.Delete(ctx, p); client.IgnoreNotFound(err) != nil {
		r.broke("%v", err)
	}
	if r.scenario.annotated {
		if err := r.asksFor(ctx, nil); client.IgnoreNotFound(err) != nil {
			r.broke("%v", err)
		}
	}
	r.catchUp(ctx)
	r.backupRun.leave(ctx)
}

// policy is as it is now, nil where somebody has deleted it.
func (r *policyRun) policy(ctx context.Context) (*v1alpha1.SnapshotPolicy, error) {
	p := &v1alpha1.SnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: r.testbed.namespace, Name: r.name}}
	if gone, err := r.testbed.gone(ctx, p); gone || err != nil {
		return nil, err
	}
	return p, nil
}

// made are the backups that the policy made for a due time, each that there ever
// was, and those that people asked for where that is zero.
func (r *policyRun) made(due time.Time) []*v1alpha1.VolumeBackup {
	return slices.DeleteFunc(r.backups(), func(b *v1alpha1.VolumeBackup) bool {
		return r.before[b.Name] || !dueTime(b).Equal(due)
	})
}

// dueTime is what a backup says that it was made for, zero where it was asked for.
func dueTime(b *v1alpha1.VolumeBackup) time.Time {
	due, _ := time.Parse(time.RFC3339, b.Annotations[v1alpha1.AnnotationScheduledAt])
	return due
}

// missing says which backups aren't made, empty where all are.
func (r *policyRun) missing() string {
	var all []string
	for _, due := range r.due {
		if len(r.made(due)) == 0 {
			all = append(all, "none for "+due.UTC().Format(time.RFC3339))
		}
	}
	if n := len(r.made(time.Time{})); n < r.asked {
		all = append(all, fmt.Sprintf("%d of %d that were asked for", n, r.asked))
	}
	return strings.Join(all, ", ")
}

// awaitMade waits until all is made that is due, unless somebody has deleted the
// policy.
func (r *policyRun) awaitMade(ctx context.Context) {
	err := poll(ctx, endLimit, "the policy has made what is due", func(ctx context.Context) (string, error) {
		p, err := r.policy(ctx)
		if err != nil || p == nil {
			return "", err
		}
		return unless(r.missing() == "", "there is %s: %s", r.missing(), p.Status.Message), nil
	})
	if err != nil {
		r.violates("LOST RUN: %v", err)
	}
}
