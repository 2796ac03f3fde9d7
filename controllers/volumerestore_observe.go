package controllers

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"golang.org/x/sync/errgroup"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// observe reads what is there of a restore, past the cache: what is decided by
// it deletes claims. It reads all at once: the application may be down.
func (r *VolumeRestoreReconciler) observe(ctx context.Context, s *restoreScope) (snapshot.RestoreObserved, error) {
	o := snapshot.RestoreObserved{}
	var pods []corev1.Pod
	all, inTime := errgroup.WithContext(ctx)
	all.Go(func() (err error) { o.Claims, err = r.claims(inTime, s); return err })
	all.Go(func() (err error) { o.Volumes, err = r.volumes(inTime, namedVolumes(s)); return err })
	all.Go(func() (err error) { o.Workload, pods, err = r.application(inTime, s); return err })
	if err := all.Wait(); err != nil {
		return o, err
	}
	o.Proofs = proofsOf(s.VolumeRestore, pods)
	sortPods(&o, pods)
	s.rememberStop(o, pods)
	if err := r.addCurrent(ctx, s, o); err != nil {
		return o, err
	}
	return o, r.addBound(ctx, s, o)
}

// A list that is read past the cache waits until the API server's own cache has
// caught up with the last write to anything, up to a tenth of a second
// (consistent reads from cache, Kubernetes 1.31). Reading by name doesn't wait.
// Between the stop of an application and its start that adds up, so lists are
// read there only where something depends on them.

// application reads the workload, where the restore touches one, and the pods
// of the namespace. Nobody makes pods for a workload without replicas: once it
// is seen that none is left, they aren't read again in this reconcile.
func (r *VolumeRestoreReconciler) application(ctx context.Context, s *restoreScope) (w *snapshot.Workload, pods []corev1.Pod, err error) {
	var obj client.Object
	if s.Status.Application != nil && s.Status.Strategy != v1alpha1.StrategyClaimsOnly {
		if obj, err = r.scalable(ctx, s.Namespace, *s.Status.Application); err != nil {
			return nil, nil, err
		}
	}
	if stop := s.stop; stop != nil {
		if w = workloadOf(obj, nil); w != nil && w.Replicas == 0 {
			w.Owners = append(w.Owners, stop.owners...)
			return w, stop.pods, nil
		}
		s.stop = nil
	}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() (err error) { w, err = r.workload(ctx, obj); return err })
	all.Go(func() (err error) { pods, err = r.pods(ctx, s.Namespace); return err })
	return w, pods, all.Wait()
}

// stoppedApplication is what was read when no pod of it was left.
type stoppedApplication struct {
	pods   []corev1.Pod
	owners []types.UID
}

func (s *restoreScope) rememberStop(o snapshot.RestoreObserved, pods []corev1.Pod) {
	if s.Status.ScaledDownAt != nil && o.Workload != nil && o.Workload.Replicas == 0 && len(o.Pods)+len(o.Proofs) == 0 {
		s.stop = &stoppedApplication{pods: pods, owners: o.Workload.Owners}
	}
}

// sortPods finds the workload's pods. A pod whose processes have ended has its
// volumes still, until the kubelet lets it go; one that failed long ago is
// left behind.
func sortPods(o *snapshot.RestoreObserved, pods []corev1.Pod) {
	for i := range pods {
		switch {
		case o.Workload == nil || !o.Workload.Owns(&pods[i]):
			o.Others = append(o.Others, pods[i])
		case snapshot.Finished(&pods[i]) && pods[i].DeletionTimestamp.IsZero():
			o.Finished = append(o.Finished, pods[i])
		default:
			o.Pods = append(o.Pods, pods[i])
		}
	}
}

func proofsOf(v *v1alpha1.VolumeRestore, pods []corev1.Pod) map[string]*corev1.Pod {
	proofs := map[string]*corev1.Pod{}
	for i := range pods {
		if pods[i].Labels[v1alpha1.LabelRestoreUID] == string(v.UID) && metav1.IsControlledBy(&pods[i], v) {
			proofs[pods[i].Name] = &pods[i]
		}
	}
	return proofs
}

func namedVolumes(s *restoreScope) []string {
	var names []string
	for _, c := range s.Status.Claims {
		names = append(names, c.PreviousVolume, c.RestoredVolume, c.CurrentVolume)
	}
	return names
}

// addCurrent reads the claims that the application mounts now, where a later
// restore has put them in the place of those of one that is undone.
func (r *VolumeRestoreReconciler) addCurrent(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) error {
	if s.Status.RollBack == nil {
		return nil
	}
	var names []string
	for i := range s.Status.Claims {
		if name := snapshot.CurrentClaim(s.VolumeRestore, &s.Status.Claims[i], o); o.Claims[name] == nil {
			names = append(names, name)
		}
	}
	more, err := readNamed(ctx, r.Live, s.Namespace, names, func() *corev1.PersistentVolumeClaim { return &corev1.PersistentVolumeClaim{} })
	maps.Copy(o.Claims, more)
	return err
}

// addBound reads the volumes that the claims are bound to now, where the
// status doesn't name them.
func (r *VolumeRestoreReconciler) addBound(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) error {
	var names []string
	for i := range s.Status.Claims {
		c := &s.Status.Claims[i]
		for _, claim := range []string{c.RestoredClaim, c.PreviousClaim, snapshot.CurrentClaim(s.VolumeRestore, c, o)} {
			if bound := o.Claims[claim]; bound != nil && o.Volumes[bound.Spec.VolumeName] == nil {
				names = append(names, bound.Spec.VolumeName)
			}
		}
	}
	more, err := r.volumes(ctx, names)
	maps.Copy(o.Volumes, more)
	return err
}

// fewClaims are sooner read one by one than all of their namespace.
const fewClaims = 16

// claims reads the restore's claims that are there, by name. Those of a large
// restore are found among all of the namespace.
func (r *VolumeRestoreReconciler) claims(ctx context.Context, s *restoreScope) (map[string]*corev1.PersistentVolumeClaim, error) {
	names := namedClaims(s)
	if len(names) > fewClaims {
		return r.claimsOf(ctx, s.Namespace)
	}
	return readNamed(ctx, r.Live, s.Namespace, names, func() *corev1.PersistentVolumeClaim { return &corev1.PersistentVolumeClaim{} })
}

func namedClaims(s *restoreScope) []string {
	var names []string
	for _, c := range s.Status.Claims {
		names = append(names, c.PreviousClaim, c.RestoredClaim, c.TemporaryClaim)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// volumes reads those of the names that are there.
func (r *VolumeRestoreReconciler) volumes(ctx context.Context, names []string) (map[string]*corev1.PersistentVolume, error) {
	return readNamed(ctx, r.Live, "", names, func() *corev1.PersistentVolume { return &corev1.PersistentVolume{} })
}

// readNamed reads those of the names that are there, all at once.
func readNamed[T client.Object](ctx context.Context, from client.Reader, namespace string, names []string, empty func() T) (map[string]T, error) {
	read := map[string]T{}
	for _, name := range names {
		if name != "" {
			read[name] = empty()
		}
	}
	all, ctx := errgroup.WithContext(ctx)
	for name, obj := range read {
		all.Go(func() error {
			return client.IgnoreNotFound(from.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, obj))
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	maps.DeleteFunc(read, func(_ string, obj T) bool { return obj.GetName() == "" })
	return read, nil
}
