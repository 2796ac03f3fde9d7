package integration

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// A claim may be lost together with its volume.
func TestABackupTellsHowItsClaimsWere(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.patchClaim("data", func(c *corev1.PersistentVolumeClaim) {
		c.Labels, c.Annotations = map[string]string{"team": "shop"}, map[string]string{"helm.sh/resource-policy": "keep"}
	})
	fc.aManager()
	b := fc.await(fc.aBackup(), "complete", func(b *v1alpha1.VolumeBackup) bool { return isTrue(b, v1alpha1.ConditionComplete) })
	was := b.Status.Volumes[0].Claim
	if was == nil || was.Labels["team"] != "shop" || was.Annotations["helm.sh/resource-policy"] != "keep" || was.AccessModes[0] != corev1.ReadWriteOnce || was.Size.String() != "1Gi" {
		t.Errorf("got %+v", was)
	}
}

func TestARestoreMayNameASize(t *testing.T) {
	fc := aFakeCluster(t)
	for _, size := range []string{"2Gi", `"2147483648"`, "2147483648"} {
		_, err := fc.restoreAs(admin, `{source: {volumeBackupRef: {name: b}}, target: {size: `+size+`}}`)
		fc.must(err)
	}
	_, err := fc.restoreAs(admin, `{source: {volumeBackupRef: {name: b}}, target: {size: large}}`)
	refusedBecause(t, err, "spec.target.size")
}
