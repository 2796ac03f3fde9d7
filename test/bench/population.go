package main

import (
	"context"
	"encoding/json"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers"
	"github.com/lull-dev/lull/test/framework"
)

// setUpAtOnce is how many requests that nobody measures are under way at once.
const setUpAtOnce = 32

// each does something for all numbers from one up to another, several at once.
func each(ctx context.Context, from, to, atOnce int, do func(context.Context, int) error) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(atOnce)
	for i := from; i < to && ctx.Err() == nil; i++ {
		all.Go(func() error { return do(ctx, i) })
	}
	return all.Wait()
}

// makeTenants makes the namespaces, and the driver with a class of snapshots. No
// volume of the driver is attached anywhere, which shows that nothing writes to
// it.
func (s *scale) makeTenants(ctx context.Context) error {
	driver := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: playedDriver}, Spec: storagev1.CSIDriverSpec{AttachRequired: ptr.To(true)}}
	if err := s.Create(ctx, driver); err != nil {
		return err
	}
	if err := s.Create(ctx, framework.SnapshotClass(playedDriver, nil)); err != nil {
		return err
	}
	return each(ctx, 0, tenants, setUpAtOnce, func(ctx context.Context, i int) error {
		return s.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: tenant(i)}})
	})
}

// makeApplication makes the claim and its volume.
func (s *scale) makeApplication(ctx context.Context, a application) error {
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: a.claim},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: modes, VolumeName: a.volume, Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}
	if err := s.Create(ctx, claim); err != nil {
		return err
	}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: a.volume},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: modes,
			ClaimRef: &corev1.ObjectReference{Namespace: a.namespace, Name: a.claim, UID: claim.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: playedDriver, VolumeHandle: a.claim},
			},
		},
	}
	if err := s.Create(ctx, volume); err != nil {
		return err
	}
	claim.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, AccessModes: modes, Capacity: size}
	return s.Status().Update(ctx, claim)
}

// grow makes applications with backups that have ended until there are so many
// applications. It measures how long it takes to create as many of the backups
// as there are applications then: bare objects, by a client like that of the
// policies, while no manager runs.
func (s *scale) grow(ctx context.Context, to int) (baseline time.Duration, err error) {
	from := s.applications
	more := to - from
	say("makes %d applications, each with %d backups that have ended", more, s.endedEach())
	err = each(ctx, from, to, setUpAtOnce, func(ctx context.Context, i int) error { return s.makeApplication(ctx, applicationOf(i)) })
	if err != nil {
		return 0, err
	}
	made := make([]identity, more*s.endedEach())
	create := func(by client.Client) func(context.Context, int) error {
		return func(ctx context.Context, i int) (err error) {
			made[i], err = begin(ctx, by, applicationOf(from+i%more), s.began.AddDate(0, 0, -1-i/more))
			return err
		}
	}
	start := time.Now()
	if err := each(ctx, 0, to, controllers.DefaultOptions().Policy.Workers, create(s.bare)); err != nil {
		return 0, err
	}
	var bare dueRun
	for _, i := range made[:to] {
		bare.backups = append(bare.backups, i.key())
	}
	last, err := s.awaitCreated(ctx, bare)
	if err != nil {
		return 0, err
	}
	if err := each(ctx, to, len(made), setUpAtOnce, create(s)); err != nil {
		return 0, err
	}
	s.applications = to
	return last.Sub(start), each(ctx, 0, len(made), setUpAtOnce, func(ctx context.Context, i int) error { return s.end(ctx, s.model, made[i]) })
}

// endedEach is how many backups of an application have ended before.
func (s *scale) endedEach() int { return s.options.ended / s.options.policies }

// putPolicy makes a policy, or changes it.
func (s *scale) putPolicy(ctx context.Context, i int, due time.Time, jitter time.Duration) error {
	p := applicationOf(i).newPolicy(due, jitter)
	if i >= s.policies {
		return s.Create(ctx, p)
	}
	change, err := json.Marshal(map[string]any{"spec": map[string]any{"schedule": p.Spec.Schedule, "jitter": p.Spec.Jitter}})
	if err != nil {
		return err
	}
	return s.Patch(ctx, p, client.RawPatch(types.MergePatchType, change))
}

// withdraw ends the manager and removes what it made in a run: the next one, of
// more policies, finds none of it.
func (s *scale) withdraw(ctx context.Context, r dueRun) error {
	s.manager.kill()
	s.stopStorage()
	return each(ctx, 0, len(r.backups), setUpAtOnce, func(ctx context.Context, i int) error {
		var b v1alpha1.VolumeBackup
		if err := s.Get(ctx, r.backups[i], &b); err != nil {
			return err
		}
		for _, v := range b.Status.Volumes {
			if err := s.withdrawSnapshot(ctx, client.ObjectKey{Namespace: b.Namespace, Name: v.SnapshotName}); err != nil {
				return err
			}
		}
		return s.remove(ctx, &b)
	})
}

func (s *scale) withdrawSnapshot(ctx context.Context, key client.ObjectKey) error {
	var snapshot snapshotv1.VolumeSnapshot
	if err := s.Get(ctx, key, &snapshot); err != nil {
		return client.IgnoreNotFound(err)
	}
	content := &snapshotv1.VolumeSnapshotContent{ObjectMeta: metav1.ObjectMeta{Name: contentOf(&snapshot)}}
	if err := s.remove(ctx, content); err != nil {
		return err
	}
	return s.remove(ctx, &snapshot)
}

// remove removes an object, whatever holds it.
func (s *scale) remove(ctx context.Context, o client.Object) error {
	free := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	err := s.Patch(ctx, o, free)
	if err == nil {
		err = s.Delete(ctx, o)
	}
	return client.IgnoreNotFound(err)
}
