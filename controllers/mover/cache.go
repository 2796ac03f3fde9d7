package mover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

// A cache is of one mover at a time. Each claim that is exported has one of its own,
// which is made where its volume is: movers of several nodes can't share a claim, and
// the volumes of a repository's applications may be in several zones.

// The tasks that have a cache.
const (
	cacheOfMaintenance = "maintenance"
	cacheOfExport      = "export"
	cacheOfFill        = "fill"
)

// CacheOfMaintenance is the cache for what looks after a repository, nil where that
// asks for none.
func CacheOfMaintenance(r *v1alpha1.ResticRepository, in *resticexport.JobInput) *corev1.PersistentVolumeClaim {
	return cache(r, in, resticexport.Owner(r, "ResticRepository"), cacheOfMaintenance, r.Name)
}

// CacheOfExport is the one for the exports of a claim.
func CacheOfExport(r *v1alpha1.ResticRepository, in *resticexport.JobInput, claim string) *corev1.PersistentVolumeClaim {
	made := cache(r, in, resticexport.Owner(r, "ResticRepository"), cacheOfExport, claim)
	if made != nil {
		made.Labels[v1alpha1.LabelClaim] = names.LabelValue(claim)
		made.Annotations[v1alpha1.AnnotationCacheOf] = claim
	}
	return made
}

// CacheOfFill is the one for a claim that a restore fills. It goes with the restore: a
// lasting one could be in another zone than the next new volume. An application's own
// volume is filled without, since what makes the cache writable would change the
// volume's files.
func CacheOfFill(r *v1alpha1.ResticRepository, in *resticexport.JobInput, by *v1alpha1.VolumeRestore, claim string) *corev1.PersistentVolumeClaim {
	if in.IsInUse {
		return nil
	}
	made := cache(r, in, resticexport.OwnerOfFill(by), cacheOfFill, claim)
	if made != nil {
		maps.Copy(made.Labels, resticexport.LabelsOfFill(by))
	}
	return made
}

// CachesOfFills are the names of those of a restore.
func CachesOfFills(by *v1alpha1.VolumeRestore) (all []string) {
	for _, c := range by.Status.Claims {
		if c.Fill != nil {
			all = append(all, cacheName(resticexport.OwnerOfFill(by), cacheOfFill, c.ClaimName))
		}
	}
	return all
}

func cacheName(owner metav1.OwnerReference, task, of string) string {
	return names.Unique("cache-"+of, "cache", string(owner.UID), task, of)
}

func cache(r *v1alpha1.ResticRepository, in *resticexport.JobInput, owner metav1.OwnerReference, task, of string) *corev1.PersistentVolumeClaim {
	asked := r.Spec.Mover.Cache
	if asked == nil {
		return nil
	}
	made := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: in.Namespace, Name: cacheName(owner, task, of), OwnerReferences: []metav1.OwnerReference{owner},
			Labels:      workload.Unmarked(r.Labels), // rules of the namespace may ask for some
			Annotations: map[string]string{v1alpha1.AnnotationBackup: "false", annotationK8up: "false"},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: asked.StorageClassName,
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: asked.Size}},
		},
	}
	made.Labels[v1alpha1.LabelManagedBy] = v1alpha1.ManagedBy
	made.Labels[v1alpha1.LabelRepository] = names.LabelValue(r.Name)
	made.Labels[v1alpha1.LabelCache] = likeness(asked, in.RunsAs())
	return made
}

// likeness is another for another class, size or user: restic lets nobody but its user
// read what it has cached.
func likeness(asked *v1alpha1.MoverCache, user int64) string {
	class := "default"
	if asked.StorageClassName != nil {
		class = "named/" + *asked.StorageClassName
	}
	return names.Unique("like", class, asked.Size.String(), strconv.FormatInt(user, 10))
}

// +kubebuilder:rbac:groups=storage.k8s.io,resources=storageclasses,verbs=list

// waitsForCache makes the cache of a task where it isn't there, and says what is
// waited for until the task can have it.
func (m *Movers) waitsForCache(ctx context.Context, in *resticexport.JobInput) (waits string, err error) {
	if in.Cache == nil {
		return "", nil
	}
	var jobs batchv1.JobList
	if err := m.Live.List(ctx, &jobs, client.InNamespace(in.Namespace), client.MatchingLabels{v1alpha1.LabelCache: in.Cache.Name}); err != nil {
		return "", err
	}
	for i := range jobs.Items {
		if endOf(&jobs.Items[i]) == nil {
			return fmt.Sprintf("waits for its turn: Job %s has the cache %s", jobs.Items[i].Name, in.Cache.Name), nil
		}
	}
	return m.makeCache(ctx, in.Cache)
}

// makeCache makes one anew where another was asked for before.
func (m *Movers) makeCache(ctx context.Context, cache *corev1.PersistentVolumeClaim) (waits string, err error) {
	there := &corev1.PersistentVolumeClaim{}
	err = m.Live.Get(ctx, client.ObjectKeyFromObject(cache), there)
	switch {
	case apierrors.IsNotFound(err):
		return Refusal("the claim "+cache.Name+" of its cache", m.Writes.Create(ctx, cache))
	case err != nil:
		return "", err
	case !isOwnedBy(there, metav1.GetControllerOf(cache).UID):
		return "", v1alpha1.Problemf(v1alpha1.ReasonClaimExists, "there is a PersistentVolumeClaim %s that isn't the cache of a mover: delete it, and try again", there.Name)
	case !there.DeletionTimestamp.IsZero():
		return "waits until claim " + there.Name + ", which was the cache, is gone", nil
	case there.Labels[v1alpha1.LabelCache] != cache.Labels[v1alpha1.LabelCache]:
		return "its cache is made anew, as it is asked for now", m.removeClone(ctx, there)
	}
	return "", nil
}

// NoCacheClass says why no cache can be made for a repository that asks for them, empty
// where one can.
func (m *Movers) NoCacheClass(ctx context.Context, r *v1alpha1.ResticRepository) (why string, err error) {
	asked := r.Spec.Mover.Cache
	if asked == nil {
		return "", nil
	}
	var classes storagev1.StorageClassList
	if err := m.Live.List(ctx, &classes); err != nil {
		return "", err
	}
	serves := func(class storagev1.StorageClass) bool {
		if asked.StorageClassName != nil {
			return class.Name == *asked.StorageClassName
		}
		return class.Annotations["storageclass.kubernetes.io/is-default-class"] == "true"
	}
	switch {
	case slices.ContainsFunc(classes.Items, serves):
		return "", nil
	case asked.StorageClassName == nil:
		return "no StorageClass is the cluster's default: write one into spec.mover.cache.storageClassName", nil
	}
	return fmt.Sprintf("there is no StorageClass %q: create it, or write another into spec.mover.cache.storageClassName", *asked.StorageClassName), nil
}

// keepNoCache has the volume of a cache go with its claim, whatever its class says.
func (m *Movers) keepNoCache(ctx context.Context, in *resticexport.JobInput) error {
	if in.Cache == nil {
		return nil
	}
	there := &corev1.PersistentVolumeClaim{}
	if err := m.Live.Get(ctx, client.ObjectKeyFromObject(in.Cache), there); err != nil {
		return client.IgnoreNotFound(err)
	}
	return m.letVolumeGo(ctx, there)
}

// RemoveCaches removes the caches that a repository doesn't need any more: all where
// it asks for none, else that of each claim that is gone.
func (m *Movers) RemoveCaches(ctx context.Context, r *v1alpha1.ResticRepository) error {
	var caches corev1.PersistentVolumeClaimList
	if err := m.Live.List(ctx, &caches, client.InNamespace(r.Namespace), client.MatchingLabels{v1alpha1.LabelRepository: names.LabelValue(r.Name)}, client.HasLabels{v1alpha1.LabelCache}); err != nil {
		return err
	}
	for i := range caches.Items {
		c := &caches.Items[i]
		isNeeded, err := m.isNeeded(ctx, r, c)
		if err != nil {
			return err
		}
		if isNeeded || !isOwnedBy(c, r.UID) || !c.DeletionTimestamp.IsZero() {
			continue
		}
		if err := m.removeClone(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (m *Movers) isNeeded(ctx context.Context, r *v1alpha1.ResticRepository, cache *corev1.PersistentVolumeClaim) (bool, error) {
	of := cache.Annotations[v1alpha1.AnnotationCacheOf]
	if r.Spec.Mover.Cache == nil || of == "" {
		return r.Spec.Mover.Cache != nil, nil
	}
	err := m.Live.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: of}, &corev1.PersistentVolumeClaim{})
	return err == nil, client.IgnoreNotFound(err)
}
