package policy

import (
	"maps"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// No backup is made in a namespace that is being deleted.
func TestTheCacheKnowsWhatIsBeingDeleted(t *testing.T) {
	leaving := metav1.NewTime(two)
	kept, err := OnlySelection(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "shop", DeletionTimestamp: &leaving}})
	if err != nil {
		t.Fatal(err)
	}
	if ns, is := kept.(*metav1.PartialObjectMetadata); !is || ns.DeletionTimestamp.IsZero() {
		t.Errorf("the cache keeps %+v", kept)
	}
}

// What an operator makes for its users is an application; a version of it isn't.
func TestWhatIsOwnedMayBeAnApplication(t *testing.T) {
	const deployments, databases, rollouts = "apps/v1 Deployment", "acid.zalan.do/v1 postgresql", "argoproj.io/v1alpha1 Rollout"
	for what, isSelected := range map[[2]string]bool{
		{"StatefulSet", databases}: true, {"Deployment", databases}: true, {"DaemonSet", databases}: true, {"PersistentVolumeClaim", databases}: true,
		{"Deployment", deployments}: true, // of an operator that has itself as the owner
		{"ReplicaSet", ""}:          true, {"ReplicationController", ""}: true,
		{"ReplicaSet", deployments}: false, {"ReplicaSet", rollouts}: false, {"ReplicationController", "apps.openshift.io/v1 DeploymentConfig"}: false,
	} {
		tier := map[string]string{"tier": "db"}
		m := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{Kind: what[0]}, ObjectMeta: metav1.ObjectMeta{Name: "pg", Labels: maps.Clone(tier)}}
		if version, kind, isOwned := strings.Cut(what[1], " "); isOwned {
			m.OwnerReferences = []metav1.OwnerReference{{APIVersion: version, Kind: kind, Name: "pg", Controller: ptr.To(true)}}
		}
		if _, err := OnlySelection(m); err != nil {
			t.Fatal(err)
		}
		if got := candidateOf(m, m.Kind); got.IsOwned == isSelected || maps.Equal(got.Labels, tier) != isSelected {
			t.Errorf("a %s of %s: %+v", what[0], what[1], got)
		}
	}
}

func TestAnOperatorsStatefulSetIsBackedUp(t *testing.T) {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "pg", Annotations: map[string]string{v1alpha1.AnnotationPolicy: "nightly"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "acid.zalan.do/v1", Kind: "postgresql", Name: "pg", UID: "1", Controller: ptr.To(true)}},
	}}
	c := aCluster(t, aPolicy(nil)[0], set)
	c.lookOn()
	c.clock.SetTime(two)
	if c.lookOn(); len(c.backups()) != 1 {
		t.Errorf("there are %v", c.backups())
	}
}
