package policy

import (
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A run is missed where its backup is refused. It waits for an API server that
// says of everybody that they lack the right, as one does that has just started.
func TestARunIsMissedByARefusalAlone(t *testing.T) {
	backups := schema.GroupResource{Group: "lull.dev", Resource: "volumebackups"}
	for what, c := range map[string]struct {
		refusal error
		missed  int64
	}{
		"an API server without roles": {apierrors.NewForbidden(backups, "", errors.New(
			`User "system:serviceaccount:lull-system:lull-manager" cannot create resource "volumebackups" in API group "lull.dev" in the namespace "shop": RBAC: clusterrole.rbac.authorization.k8s.io "lull-manager" not found`)), 0},
		"a quota":             {apierrors.NewForbidden(backups, "nightly-db", errors.New("exceeded quota: backups, requested: 1, used: 9, limited: 9")), 1},
		"an admission policy": {apierrors.NewInvalid(schema.GroupKind{Group: "lull.dev", Kind: "VolumeBackup"}, "nightly-db", nil), 1},
	} {
		cluster := aCluster(t, aPolicy(nil)...)
		cluster.lookOn()
		cluster.clock.SetTime(two)
		cluster.refusal = c.refusal
		if _, err := cluster.look(); (err != nil) != (c.missed == 0) {
			t.Errorf("%s: %v", what, err)
		}
		cluster.refusal = nil
		cluster.clock.SetTime(two.Add(time.Minute))
		cluster.lookOn()
		if got := cluster.policy().Status.MissedRuns; got != c.missed || len(cluster.backups()) != 1-int(c.missed) {
			t.Errorf("%s: %d missed, there are %v", what, got, cluster.backups())
		}
	}
}
