package policy

import (
	"context"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/policy"
)

// The names of very many applications may be the same: a backup is made before
// only where it is of the application, and for the due time.
func TestANameThatIsAnothersIsNotABackup(t *testing.T) {
	db := policy.Application{Namespace: "shop", Ref: v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: "db"}}
	name := policy.BackupName("nightly", db, two)
	for what, c := range map[string]struct {
		change  func(*v1alpha1.VolumeBackup)
		isThere bool
	}{
		"it":                       {func(*v1alpha1.VolumeBackup) {}, true},
		"it, out of the policy":    {func(b *v1alpha1.VolumeBackup) { delete(b.Labels, v1alpha1.LabelPolicy) }, true},
		"another application":      {func(b *v1alpha1.VolumeBackup) { b.Spec.ApplicationRef.Name = "shop" }, false},
		"another kind":             {func(b *v1alpha1.VolumeBackup) { b.Spec.ApplicationRef.Kind = v1alpha1.KindStatefulSet }, false},
		"another policy":           {func(b *v1alpha1.VolumeBackup) { b.Labels[v1alpha1.LabelPolicy] = "hourly" }, false},
		"another due time":         {func(b *v1alpha1.VolumeBackup) { b.Annotations[v1alpha1.AnnotationScheduledAt] = "2020-01-01T00:00:00Z" }, false},
		"one that a person called": {func(b *v1alpha1.VolumeBackup) { b.Labels, b.Annotations = nil, nil }, false},
	} {
		cluster := aCluster(t, aPolicy(nil)...)
		cluster.lookOn()
		due := two
		there := policy.NewBackup(&policy.Policy{Namespace: "shop", Name: "nightly", Spec: &v1alpha1.SnapshotPolicySpec{}}, db, name, &due)
		there.Status = before(0).Status // no run waits for it
		c.change(there)
		cluster.must(cluster.Create(context.Background(), there))
		cluster.clock.SetTime(two)
		for range 2 { // a manager that knows nothing of it makes it once, too
			cluster.manager = nil
			cluster.lookOn()
		}
		var own v1alpha1.VolumeBackup
		err := cluster.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: policy.LongerName(name, db)}, &own)
		if made := err == nil; made == c.isThere || client.IgnoreNotFound(err) != nil || made && policy.ApplicationOf(&own) != db {
			t.Errorf("%s by its name: there are %v: %v", what, cluster.backups(), err)
		}
		if status := cluster.policy().Status; c.isThere != (len(cluster.backups()) == 1) || status.MissedRuns != 0 {
			t.Errorf("%s by its name: there are %v, and %d missed", what, cluster.backups(), status.MissedRuns)
		}
	}
}
