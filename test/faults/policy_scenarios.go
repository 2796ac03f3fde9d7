package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/schedule"
	"github.com/lull-dev/lull/test/framework"
)

// policyScenario is what people want of a policy. It has one application.
type policyScenario struct {
	name string
	// of is its application: by default the books, which its backups hold.
	of v1alpha1.ApplicationReference
	// template is what else is special about its backups, and those before.
	template []change
	// before is how many complete backups the application has already.
	before int
	// keepLast is its retention; 0 keeps all.
	keepLast int
	// braked: that would remove so many that none goes.
	braked bool
	// annotated: the books ask for the policy themselves, until the run is over.
	annotated bool
	// begin makes the policy, and has backups be due or asks for one.
	begin func(context.Context, *policyRun) error
	// prelude happens to the manager before the round's own fault, where the
	// scenario is about what comes after it.
	prelude *prelude
	// slow scenarios are for the long form.
	slow bool
	// outage: it has the API server away.
	outage bool
}

// idle is a claim that no pod mounts: its backups are the cheapest there are.
var idle = v1alpha1.ApplicationReference{Kind: v1alpha1.KindPersistentVolumeClaim, Name: "idle"}

var policyScenarios = []policyScenario{
	{name: "due while no manager was there", begin: dueBefore},
	{name: "asked for at once, and what isn't kept goes", of: idle, template: []change{outliving}, before: 2, keepLast: 1, begin: askedFor},
	{name: "after a backup couldn't be made", of: idle, begin: dueBefore, prelude: &prelude{at: beforeDueBackup, answer: "internal"}},
	{name: "after one couldn't be removed", of: idle, before: 1, keepLast: 1, begin: askedFor, prelude: &prelude{at: beforeRemoval, answer: "internal"}},
	{name: "the brake holds", of: idle, before: 5, keepLast: 1, braked: true, begin: askedFor},
	{name: "due each minute", begin: dueTwice, slow: true},
	{name: "six minutes by annotation, in which managers and the API server are killed", keepLast: 3, begin: sixMinutes, annotated: true, slow: true, outage: true},
	{name: "due while the API server is away", of: idle, begin: dueWithoutServer, outage: true},
}

// askedFor asks for a backup as soon as there is the policy.
func askedFor(ctx context.Context, r *policyRun) error {
	r.asked = 1
	_, err := r.aPolicy(ctx, "@yearly", func(p *v1alpha1.SnapshotPolicy) {
		p.Annotations = map[string]string{v1alpha1.AnnotationRunNow: asksOnce}
	})
	return err
}

// asksOnce is a value that is asked for once.
const asksOnce = "once"

// dueBefore has a backup be due since the last whole minute, and not again for a
// day.
func dueBefore(ctx context.Context, r *policyRun) error {
	return r.isDueSince(ctx, time.Now().Truncate(time.Minute), func(*v1alpha1.SnapshotPolicy) {})
}

// isDueSince has a policy that was there before a due time, and that nobody has
// looked at since. Its status is written as the manager left it that was there
// then: rounds don't wait for a due time each. An edit brings the policy to the
// manager that is there now.
func (r *policyRun) isDueSince(ctx context.Context, due time.Time, change func(*v1alpha1.SnapshotPolicy)) error {
	r.due = []time.Time{due}
	p, err := r.aPolicy(ctx, fmt.Sprintf("%d %d * * *", due.UTC().Minute(), due.UTC().Hour()), change)
	if err != nil {
		return err
	}
	operator, err := framework.Operator(r.testbed.Config, r.testbed.Scheme())
	if err != nil {
		return err
	}
	before := metav1.NewTime(due.Add(-time.Minute))
	err = poll(ctx, endLimit, "the policy is seen, since before it was due", func(ctx context.Context) (string, error) {
		if gone, err := r.testbed.gone(ctx, p); gone || err != nil {
			return "", err
		}
		if p.Status.Seen == nil || len(p.Status.Applications) == 0 {
			return "nobody has seen it", nil
		}
		p.Status.Seen.Since, p.Status.Applications[0].Since = metav1.NewMicroTime(before.Time), &before
		return "", client.IgnoreNotFound(operator.Status().Patch(ctx, p, client.Merge))
	})
	if err != nil {
		return err
	}
	return client.IgnoreNotFound(r.testbed.Merge(ctx, p, `{"spec":{"history":{"failed":1}}}`))
}

const (
	// jitter is a window that has whole seconds for every moment of the next
	// minutes.
	jitter = 10 * time.Minute
	// ahead is how soon something is due that isn't yet: there has to be time
	// for a policy to be made, and for the API server to stop.
	ahead = 10 * time.Second
	// awayBefore is how long the API server is away before that at most.
	awayBefore = 5 * time.Second
)

// dueWithoutServer stops the API server so that the application's moment, by its
// part of the jitter, comes before it is started again.
func dueWithoutServer(ctx context.Context, r *policyRun) error {
	due := time.Now().Truncate(time.Minute)
	offset := time.Since(due).Truncate(time.Second) + ahead
	for schedule.Offset(jitter, r.testbed.namespace, r.name, r.testbed.namespace, string(r.app().Kind), r.app().Name) != offset {
		r.name = policyName()
	}
	err := r.isDueSince(ctx, due, func(p *v1alpha1.SnapshotPolicy) { p.Spec.Jitter = &metav1.Duration{Duration: jitter} })
	if err != nil {
		return err
	}
	moment := due.Add(offset)
	if err := until(ctx, moment.Add(-awayBefore)); err != nil {
		return err
	}
	r.struck()
	if _, err := away(awayBefore+time.Second, "kube-apiserver")(ctx, r.round, nil); err != nil {
		return err
	}
	isEarly := time.Now().Before(moment)
	if err := until(ctx, moment); err != nil {
		return err
	}
	ask, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err = r.testbed.Get(ask, client.ObjectKey{Namespace: r.testbed.namespace, Name: r.name}, &v1alpha1.SnapshotPolicy{})
	if r.fault.inject == nil && (!isEarly || err == nil) { // a fault may take its time
		return errors.New("the API server wasn't away when the backup was due: the machine is too busy")
	}
	return nil
}

// until waits for a moment.
func until(ctx context.Context, moment time.Time) error {
	over := time.NewTimer(time.Until(moment))
	defer over.Stop()
	select {
	case <-over.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dueTwice lets two minutes go by, and suspends the policy then.
func dueTwice(ctx context.Context, r *policyRun) error {
	p, err := r.aPolicy(ctx, "@every 1m")
	if err != nil {
		return err
	}
	created := p.CreationTimestamp.Time
	r.due = []time.Time{created.Add(time.Minute), created.Add(2 * time.Minute)}
	if err := until(ctx, r.due[1]); err != nil {
		return err
	}
	return r.suspendOnceMade(ctx, p)
}

func (r *policyRun) suspendOnceMade(ctx context.Context, p *v1alpha1.SnapshotPolicy) error {
	r.awaitMade(ctx)
	return client.IgnoreNotFound(r.testbed.Merge(ctx, p, `{"spec":{"suspend":true}}`))
}

// sixMinutes has the books ask for a policy, and lets six minutes go by. As the
// second and the fourth backup are made the manager is killed, and as the fifth is
// the API server.
func sixMinutes(ctx context.Context, r *policyRun) error {
	if err := r.asksFor(ctx, r.name); err != nil {
		return err
	}
	p, err := r.aPolicy(ctx, "@every 1m", func(p *v1alpha1.SnapshotPolicy) { p.Spec.Applications.Refs = nil })
	if err != nil {
		return err
	}
	befalls := map[int]func(context.Context, *round, *manager) (string, error){2: killed, 4: killed, 5: component("kill", "kube-apiserver")}
	for n := range 6 {
		due := p.CreationTimestamp.Add(time.Duration(n+1) * time.Minute)
		r.due = append(r.due, due)
		if err := until(ctx, due); err != nil {
			return err
		}
		if happens := befalls[n+1]; happens != nil {
			r.struck()
			if _, err := happens(ctx, r.round, r.testbed.current()); err != nil {
				return err
			}
		}
	}
	// Nothing more is due, and what isn't kept goes.
	r.awaitMade(ctx)
	return client.IgnoreNotFound(r.testbed.Merge(ctx, p, `{"spec":{"schedule":"@yearly"}}`))
}

// asksFor writes the annotation of the books, or takes it away by nil.
func (r *policyRun) asksFor(ctx context.Context, policy any) error {
	annotations, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationPolicy: policy}}})
	if err != nil {
		return err
	}
	return r.testbed.Merge(ctx, r.testbed.books.Workload(), string(annotations))
}
