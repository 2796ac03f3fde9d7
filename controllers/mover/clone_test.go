package mover

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/lull-dev/lull/controllers/reconcile"
)

const ours, theirs = types.UID("ours"), types.UID("theirs")

func aClone(name string, owner types.UID) *corev1.PersistentVolumeClaim {
	clone := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-of-" + name)}}
	clone.OwnerReferences = []metav1.OwnerReference{{APIVersion: "lull.dev/v1alpha1", Kind: "VolumeBackup", Name: "b", UID: owner, Controller: ptr.To(true)}}
	clone.Spec.VolumeName = "volume-of-" + name
	return clone
}

func aVolume(of *corev1.PersistentVolumeClaim, policy corev1.PersistentVolumeReclaimPolicy) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: of.Spec.VolumeName}}
	v.Spec.ClaimRef = &corev1.ObjectReference{UID: of.UID}
	v.Spec.PersistentVolumeReclaimPolicy = policy
	return v
}

func moversOn(t *testing.T, objects ...client.Object) *Movers {
	t.Helper()
	c := fake.NewClientBuilder().WithObjects(objects...).Build()
	return &Movers{Writes: c, Live: c}
}

func TestACloneIsMadeOnce(t *testing.T) {
	m := moversOn(t)
	for range 2 {
		if waits, err := m.MakeClone(context.Background(), aClone("clone", ours), "", nil, nil); err != nil || waits != "" {
			t.Fatal(waits, err)
		}
	}
	if _, err := m.MakeClone(context.Background(), aClone("clone", theirs), "", nil, nil); reconcile.ProblemOf(err) == nil {
		t.Error("a claim of another owner is taken:", err)
	}
}

// Whoever may write a clone can take its owner from it. It is known by its UID, once
// that is on record, and by nothing else.
func TestACloneWithoutItsOwnerIsKnownByItsUID(t *testing.T) {
	for _, recorded := range []types.UID{"", "uid-of-another", "uid-of-clone"} {
		clone := aClone("clone", ours)
		m, isKnown := moversOn(t, clone, aVolume(clone, corev1.PersistentVolumeReclaimRetain)), recorded == clone.UID
		clone.OwnerReferences = nil
		if err := m.Writes.Update(context.Background(), clone); err != nil {
			t.Fatal(err)
		}
		if _, err := m.MakeClone(context.Background(), aClone("clone", ours), recorded, nil, nil); (err == nil) != isKnown || err != nil && reconcile.ProblemOf(err) == nil {
			t.Errorf("by %q on record it can be read: %v", recorded, err)
		}
		if gone, err := m.RemoveClones(context.Background(), "shop", ours, map[string]types.UID{"clone": recorded}); err != nil || gone == isKnown {
			t.Errorf("by %q on record it counts as gone: %t, %v", recorded, gone, err)
		}
		if err := m.Live.Get(context.Background(), client.ObjectKeyFromObject(clone), clone); apierrors.IsNotFound(err) != isKnown {
			t.Errorf("by %q on record it is left: %v", recorded, err)
		}
	}
}

func TestAClonesVolumeGoesWithIt(t *testing.T) {
	clone, other := aClone("clone", ours), aClone("other", theirs)
	m := moversOn(t, clone, other, aVolume(clone, corev1.PersistentVolumeReclaimRetain), aVolume(other, corev1.PersistentVolumeReclaimRetain))
	names := map[string]types.UID{"clone": "", "other": "", "none": ""}
	if gone, err := m.RemoveClones(context.Background(), "shop", ours, names); err != nil || gone {
		t.Fatal("it is gone before it was seen to be", err)
	}
	if gone, err := m.RemoveClones(context.Background(), "shop", ours, names); err != nil || !gone {
		t.Fatal("it isn't gone", err)
	}
	if err := m.Live.Get(context.Background(), client.ObjectKeyFromObject(clone), clone); !apierrors.IsNotFound(err) {
		t.Error("the clone:", err)
	}
	for _, of := range []struct {
		claim *corev1.PersistentVolumeClaim
		want  corev1.PersistentVolumeReclaimPolicy
	}{{clone, corev1.PersistentVolumeReclaimDelete}, {other, corev1.PersistentVolumeReclaimRetain}} {
		v := &corev1.PersistentVolume{}
		if err := m.Live.Get(context.Background(), client.ObjectKey{Name: of.claim.Spec.VolumeName}, v); err != nil || v.Spec.PersistentVolumeReclaimPolicy != of.want {
			t.Errorf("volume of %s: %s, %v", of.claim.Name, v.Spec.PersistentVolumeReclaimPolicy, err)
		}
	}
}

func TestAVolumeThatIsAnothersByNowIsLeftAlone(t *testing.T) {
	clone := aClone("clone", ours)
	volume := aVolume(clone, corev1.PersistentVolumeReclaimRetain)
	volume.Spec.ClaimRef.UID = "another"
	m := moversOn(t, clone, volume)
	if _, err := m.RemoveClones(context.Background(), "shop", ours, map[string]types.UID{"clone": ""}); err != nil {
		t.Fatal(err)
	}
	if err := m.Live.Get(context.Background(), client.ObjectKeyFromObject(volume), volume); err != nil || volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
		t.Error(volume.Spec.PersistentVolumeReclaimPolicy, err)
	}
}
