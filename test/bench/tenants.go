package main

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/policy"
)

// tenants is how many namespaces share the applications.
const tenants = 100

func tenant(i int) string { return fmt.Sprintf("tenant-%02d", i) }

// application is a bound claim that no pod mounts, and the policy that backs it
// up.
type application struct{ namespace, claim, volume, policy string }

func applicationOf(i int) application {
	return application{
		namespace: tenant(i % tenants), claim: fmt.Sprintf("data-%05d", i),
		volume: fmt.Sprintf("volume-%05d", i), policy: fmt.Sprintf("daily-%05d", i),
	}
}

// selected is the application as its policy has it.
func (a application) selected() policy.Application {
	ref := v1alpha1.ApplicationReference{Kind: v1alpha1.KindPersistentVolumeClaim, Name: a.claim}
	return policy.Application{Namespace: a.namespace, Ref: ref}
}

// backupOf is what the backup is called that its policy makes for a due time.
func (a application) backupOf(due time.Time) client.ObjectKey {
	return client.ObjectKey{Namespace: a.namespace, Name: policy.BackupName(a.policy, a.selected(), due)}
}

// newBackup is the backup that its policy makes for a due time.
func (a application) newBackup(due time.Time) *v1alpha1.VolumeBackup {
	its := a.newPolicy(due, 0)
	p := &policy.Policy{Namespace: its.Namespace, Name: its.Name, Spec: &its.Spec}
	return policy.NewBackup(p, a.selected(), a.backupOf(due).Name, &due)
}

// newPolicy is its policy, due once a day at a whole minute. It keeps whatever
// there is.
func (a application) newPolicy(due time.Time, jitter time.Duration) *v1alpha1.SnapshotPolicy {
	p := &v1alpha1.SnapshotPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: a.policy},
		Spec: v1alpha1.SnapshotPolicySpec{
			Schedule:     scheduleFor(due),
			Applications: v1alpha1.PolicyApplications{Refs: []v1alpha1.ApplicationReference{a.selected().Ref}},
			Retention:    v1alpha1.PolicyRetention{Snapshots: &v1alpha1.RetentionRules{KeepLast: 100}},
		},
	}
	if jitter > 0 {
		p.Spec.Jitter = &metav1.Duration{Duration: jitter}
	}
	return p
}

// scheduleFor is a daily schedule in UTC.
func scheduleFor(due time.Time) string {
	return fmt.Sprintf("%d %d * * *", due.UTC().Minute(), due.UTC().Hour())
}

// moment is when the application is due by its policy.
func (a application) moment(due time.Time, jitter time.Duration) (time.Time, error) {
	its := a.newPolicy(due, jitter)
	p, err := policy.Read(its.Namespace, its.Name, time.Time{}, &its.Spec)
	if err != nil {
		return time.Time{}, err
	}
	return due.Add(p.Offset(a.selected())), nil
}
