package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot"
)

const (
	// thawLimit is how long held sessions may outlive the timeout, and what a
	// look for a pod that is to be thawed may take. A post-hook has a limit of
	// its own.
	thawLimit = 30 * time.Second
	// maxReserve and the quarter are what is kept of the timeout for the thaw,
	// so that it is over by the deadline and doesn't only begin there.
	maxReserve = 5 * time.Second
)

// trial is what was seen in one attempt.
type trial struct {
	firstHeldAt, heldAt, cutAt, thawedAt time.Time
	// releases of the pods, by their UIDs.
	releases map[types.UID]hooks.Release
	// observed snapshots, by their claims.
	observed map[string]snapshot.Observed
	// unchanged: the same pods mounted the volumes before and after.
	unchanged bool
	// err is why the snapshots were not all cut while the application held.
	err error
}

// run freezes, cuts and thaws. Whatever happens in it, and also when the
// manager is told to stop, it ends with the thaw.
func (r *VolumeBackupReconciler) run(ctx context.Context, s *backupScope, p *plan) *trial {
	t := &trial{}
	watch, err := r.watchCuts(ctx, s)
	if err != nil {
		t.err, t.releases = err, nothingFrozen(p)
		return t
	}
	defer watch.stop()
	if s.grouped() {
		if err := r.labelClaims(ctx, s); err != nil {
			t.err, t.releases = err, nothingFrozen(p)
			return t
		}
	}
	left := r.timeLeft(s, p)
	if left <= reserve(p.timeout) {
		t.err, t.releases = errHeldUp, nothingFrozen(p)
		return t
	}
	budget, cancel := context.WithTimeoutCause(ctx, left-reserve(p.timeout), errBudget)
	defer cancel()
	budget, giveUp := context.WithCancelCause(budget)
	defer giveUp(nil)
	stop, err := r.whenDeleted(ctx, s, func() { giveUp(errDeleted) })
	if err != nil {
		t.err, t.releases = err, nothingFrozen(p)
		return t
	}
	defer stop()
	life, end := context.WithTimeout(context.WithoutCancel(ctx), left+thawLimit)
	defer end()
	quiet, err := hooks.Begin(budget, life, r.Clock.Now().Add(left), r.Executor, r.Clock, p.targets)
	t.firstHeldAt = quiet.FirstHeldAt() // some of the pods may have been frozen all the same
	if t.err = err; err == nil {
		t.heldAt = quiet.HeldAt()
		t.err = r.cut(budget, s, p, watch, quiet.Lost(), t)
	}
	r.thaw(ctx, quiet, t)
	if t.err == nil {
		t.unchanged, t.err = r.unchanged(ctx, s, p)
	}
	if t.err == nil {
		t.err = r.sameVolumes(ctx, s, p)
	}
	return t
}

// errBudget is the cause of a context whose share of the timeout is used up.
var errBudget = errors.New("not done within the timeout")

// errDeleted is the cause where nobody wants the backup any more.
var errDeleted = errors.New("the backup was deleted")

// errHeldUp: this process stood still between the intent and the attempt.
var errHeldUp = errors.New("the manager was held up until hardly any of the timeout was left; nothing was frozen")

// timeLeft is what is left of the timeout: the deadline in the intent stands,
// whenever the attempt comes to begin.
func (r *VolumeBackupReconciler) timeLeft(s *backupScope, p *plan) time.Duration {
	if s.Status.Quiesce.Deadline == nil {
		return p.timeout
	}
	return min(p.timeout, s.Status.Quiesce.Deadline.Sub(r.Clock.Now()))
}

func reserve(timeout time.Duration) time.Duration {
	return min(maxReserve, timeout/4)
}

// thaw releases everything, in time of its own: the reconcile's may be over.
// Sessions and post-hooks have their limits, each its own.
func (r *VolumeBackupReconciler) thaw(ctx context.Context, quiet *hooks.Quieted, t *trial) {
	t.releases = quiet.End(context.WithoutCancel(ctx))
	for _, release := range t.releases {
		if release.Thawed && release.At.After(t.thawedAt) {
			t.thawedAt = release.At
		}
	}
}

// nothingFrozen are the releases of an attempt that ended before its first
// command.
func nothingFrozen(p *plan) map[types.UID]hooks.Release {
	releases := map[types.UID]hooks.Release{}
	for _, target := range p.targets {
		releases[target.UID] = hooks.Release{Thawed: true}
	}
	return releases
}

// unchanged compares who mounts the volumes after the cut with before: a pod
// that has come meanwhile wasn't quieted. One that has gone is no matter.
func (r *VolumeBackupReconciler) unchanged(ctx context.Context, s *backupScope, p *plan) (bool, error) {
	pods, err := podsIn(context.WithoutCancel(ctx), r.Live, s.Namespace)
	if err != nil {
		return false, fmt.Errorf("could not see whether another pod had come: %w", err)
	}
	for uid := range mounters(pods, p.claims()) {
		if !p.mounters[uid] {
			return false, nil
		}
	}
	return true, sameContainers(pods, p)
}

// sameContainers is nil where no container was started anew since its hook ran
// in it: what the pre-hook froze went with the old one. A pod that has gone
// can't have written.
func sameContainers(pods []corev1.Pod, p *plan) error {
	for _, t := range p.targets {
		i := slices.IndexFunc(pods, func(pod corev1.Pod) bool { return pod.UID == t.UID })
		if i < 0 {
			continue
		}
		for _, name := range t.Containers() {
			if containerID(&pods[i], name) != p.containers[containerOf{t.UID, name}] {
				return fmt.Errorf("container %s of pod %s was started anew while the volumes were cut", name, t.Pod)
			}
		}
	}
	return nil
}

// containerID is what the runtime calls a container, empty where none has run.
func containerID(pod *corev1.Pod, name string) string {
	for _, c := range slices.Concat(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses) {
		if c.Name == name {
			return c.ContainerID
		}
	}
	return ""
}

// sameVolumes is nil where the claims lead to the volumes that they led to
// before the cut: a restore may have replaced them one after the other.
func (r *VolumeBackupReconciler) sameVolumes(ctx context.Context, s *backupScope, p *plan) error {
	var now corev1.PersistentVolumeClaimList
	if err := r.Live.List(context.WithoutCancel(ctx), &now, client.InNamespace(s.Namespace)); err != nil {
		return fmt.Errorf("could not see whether the claims had been replaced: %w", err)
	}
	leadsTo := map[string]string{}
	for i := range now.Items {
		leadsTo[now.Items[i].Name] = now.Items[i].Spec.VolumeName
	}
	for _, v := range p.volumes {
		if leadsTo[v.ClaimName] != v.VolumeName {
			return fmt.Errorf("PersistentVolumeClaim %s was replaced while its volume was cut", v.ClaimName)
		}
	}
	return nil
}

func (t *trial) allThawed() bool {
	for _, release := range t.releases {
		if !release.Thawed {
			return false
		}
	}
	return true
}

func (t *trial) testified() bool {
	for _, release := range t.releases {
		if !release.Testified {
			return false
		}
	}
	return true
}

// frozenFor is the time from the first freeze to the last thaw, 0 where the
// application was never wholly frozen.
func (t *trial) frozenFor() time.Duration {
	if t.firstHeldAt.IsZero() || t.thawedAt.IsZero() {
		return 0
	}
	return t.thawedAt.Sub(t.firstHeldAt)
}

// failure is why the attempt proves nothing, with all that was said on it.
func (t *trial) failure() error {
	said := map[string]bool{}
	var all []error
	add := func(err error) {
		if err != nil && !said[err.Error()] {
			said[err.Error()] = true
			all = append(all, err)
		}
	}
	add(t.err)
	for _, uid := range slices.Sorted(maps.Keys(t.releases)) {
		// What a session said at its end is beside the point, unless it ended
		// by itself or didn't thaw.
		if release := t.releases[uid]; t.err == nil || errors.Is(t.err, errHoldLost) || !release.Thawed {
			add(release.Err)
		}
	}
	if len(all) == 0 {
		return errAnotherPod
	}
	return hooks.Join(all...)
}

var errAnotherPod = errors.New("another pod began to use the volumes while they were cut")
