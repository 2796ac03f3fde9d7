package restore

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/snapshot/workload"
)

// bind provisions and binds, as the volume controller does.
func (w *fakeCluster) bind() {
	ctx := context.Background()
	for _, c := range w.claims() {
		if c.Status.Phase == corev1.ClaimBound || !c.DeletionTimestamp.IsZero() {
			continue
		}
		pv := &corev1.PersistentVolume{}
		if c.Spec.VolumeName == "" {
			pv.Name = "pv-" + c.Name
			pv.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
			pv.Spec.ClaimRef = &corev1.ObjectReference{Namespace: shop, Name: c.Name, UID: c.UID}
			w.must(w.Create(ctx, pv))
			c.Spec.VolumeName = pv.Name
		} else {
			w.must(w.Get(ctx, client.ObjectKey{Name: c.Spec.VolumeName}, pv))
			if ref := pv.Spec.ClaimRef; ref == nil || ref.Name != c.Name || ref.UID != "" && ref.UID != c.UID {
				continue
			}
			if pv.Status.Phase != corev1.VolumeAvailable {
				w.t.Errorf("claim %s was made before its volume was known to be reserved: it would be bound much later", c.Name)
			}
			pv.Spec.ClaimRef.UID = c.UID
			w.must(w.Update(ctx, pv))
		}
		c.Finalizers = []string{"kubernetes.io/pvc-protection"}
		w.must(w.Update(ctx, &c))
		c.Status.Phase = corev1.ClaimBound
		w.must(w.Status().Update(ctx, &c))
	}
}

// protect lets deleted claims go that no pod uses.
func (w *fakeCluster) protect() {
	for _, c := range w.claims() {
		used := false
		for _, p := range w.pods() {
			used = used || workload.Mounts(&p, c.Name)
		}
		if !c.DeletionTimestamp.IsZero() && !used {
			c.Finalizers = nil
			w.must(w.Update(context.Background(), &c))
		}
	}
}

// reclaim deletes the volumes whose claim is gone, where they aren't retained.
func (w *fakeCluster) reclaim() {
	ctx := context.Background()
	living := map[types.UID]bool{}
	for _, c := range w.claims() {
		living[c.UID] = true
	}
	var all corev1.PersistentVolumeList
	w.must(w.List(ctx, &all))
	for _, v := range all.Items {
		ref := v.Spec.ClaimRef
		if ref.UID == "" && v.Status.Phase != corev1.VolumeAvailable {
			v.Status.Phase = corev1.VolumeAvailable
			w.must(w.Status().Update(ctx, &v))
		}
		if ref.UID != "" && !living[ref.UID] && v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
			w.must(w.Delete(ctx, &v))
		}
	}
}
