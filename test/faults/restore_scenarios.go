package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// restoreScenario is what people want of a restore.
type restoreScenario struct {
	name string
	// shelf: it is about the StatefulSet, else about the Deployment.
	shelf bool
	// exported: the backup is in a repository too.
	exported bool
	// poison: the application is never ready on what is restored.
	poison bool
	// arrange changes the application before.
	arrange func(context.Context, *restoreRun) error
	// tidy takes back what was arranged.
	tidy func(context.Context, *restoreRun) error
	spec func(*v1alpha1.VolumeRestoreSpec)
	// begin makes the restores, and does what people do meanwhile. Default:
	// one restore.
	begin func(context.Context, *restoreRun) error
	// prelude happens to the manager before the round's own fault, where the
	// scenario is about what comes after it.
	prelude *prelude
	// wants are the phases that they come to.
	wants []v1alpha1.RestorePhase
	slow  bool
}

// restoreReady is how long the application may take to be ready.
const restoreReady = 2 * time.Minute

var restoreScenarios = []restoreScenario{
	{name: "repoint", wants: completed},
	{name: "replace, of a Deployment", spec: by(v1alpha1.StrategyReplace), wants: completed},
	{name: "replace, of a StatefulSet", shelf: true, wants: completed},
	{name: "of what a policy made last", begin: ofPolicy, wants: completed, slow: true},
	{name: "from a repository", exported: true, begin: fromRepository, wants: completed, slow: true},
	{name: "from a repository, deleted while it is filled", exported: true, begin: deleteFilling, wants: gone, slow: true},
	{name: "claims only, of a path", spec: ofPaths, wants: completed, slow: true},
	{name: "repoint, and previous claims deleted", spec: deletingPrevious, wants: completed},
	{name: "repoint, and previous claims deleted, with a finished pod on its claim", spec: deletingPrevious, arrange: withFinishedPod, tidy: withoutFinishedPod, wants: completed, slow: true},
	{name: "replace, and previous claims deleted", spec: func(s *v1alpha1.VolumeRestoreSpec) { deletingPrevious(s); by(v1alpha1.StrategyReplace)(s) }, wants: completed, slow: true},
	{name: "undone as asked, repoint", begin: thenUndo, wants: rolledBack},
	{name: "undone as asked, replace", spec: by(v1alpha1.StrategyReplace), begin: thenUndo, wants: rolledBack},
	{name: "undone as asked, of a StatefulSet", shelf: true, begin: thenUndo, wants: rolledBack, slow: true},
	{name: "not ready on it, repoint", poison: true, spec: soon, wants: rolledBack},
	{name: "not ready on it, replace", poison: true, spec: func(s *v1alpha1.VolumeRestoreSpec) { soon(s); by(v1alpha1.StrategyReplace)(s) }, wants: rolledBack},
	{name: "not ready on it, left, then undone", poison: true, spec: func(s *v1alpha1.VolumeRestoreSpec) { soon(s); s.OnFailure = v1alpha1.RestoreLeave },
		begin: thenUndo, wants: rolledBack},
	{name: "the new volume can't be mounted", begin: onBadStorage, wants: rolledBack},
	{name: "claims only, and undoing it is refused", spec: by(v1alpha1.StrategyClaimsOnly), begin: thenUndo, wants: completed},
	{name: "claims only, which can't be mounted", spec: by(v1alpha1.StrategyClaimsOnly), begin: onBadStorage, wants: []v1alpha1.RestorePhase{v1alpha1.RestoreFailed}},
	{name: "no such backup", spec: func(s *v1alpha1.VolumeRestoreSpec) { s.Source.VolumeBackupRef.Name = "nobody" }, wants: []v1alpha1.RestorePhase{v1alpha1.RestoreFailed}, slow: true},
	{name: "no such backup, and undoing it is refused", spec: func(s *v1alpha1.VolumeRestoreSpec) { s.Source.VolumeBackupRef.Name = "nobody" }, begin: thenUndo,
		wants: []v1alpha1.RestorePhase{v1alpha1.RestoreFailed}},
	{name: "two at once", begin: twoAtOnce, wants: []v1alpha1.RestorePhase{v1alpha1.RestoreCompleted, v1alpha1.RestoreCompleted}},
	{name: "two at once, replace", spec: by(v1alpha1.StrategyReplace), begin: twoAtOnce, wants: []v1alpha1.RestorePhase{v1alpha1.RestoreCompleted, v1alpha1.RestoreCompleted}, slow: true},
	{name: "deleted under way", begin: thenDelete, wants: gone},
	{name: "deleted under way, replace", spec: by(v1alpha1.StrategyReplace), begin: thenDelete, wants: gone, slow: true},
	{name: "of a paused rollout", arrange: paused, tidy: unpaused, wants: completed, slow: true},
	{name: "of a paused rollout, undone", arrange: paused, tidy: unpaused, begin: thenUndo, wants: rolledBack},
	{name: "after an error", prelude: &prelude{at: beforeFirstRestoreWrite, answer: "internal"}, wants: completed},
	{name: "with a finished pod on its claim", spec: by(v1alpha1.StrategyReplace), arrange: withFinishedPod, tidy: withoutFinishedPod, wants: completed},
}

var restoreIs = framework.RestoreIs

// rollBack is the patch that asks for it.
const rollBack = `{"spec":{"rollBack":true}}`

var (
	completed  = []v1alpha1.RestorePhase{v1alpha1.RestoreCompleted}
	rolledBack = []v1alpha1.RestorePhase{v1alpha1.RestoreRolledBack}
	// gone: there is no object any more that could say.
	gone = []v1alpha1.RestorePhase{""}
)

func by(s v1alpha1.RestoreStrategy) func(*v1alpha1.VolumeRestoreSpec) {
	return func(spec *v1alpha1.VolumeRestoreSpec) { spec.Target.Strategy = s }
}

func deletingPrevious(s *v1alpha1.VolumeRestoreSpec) { s.PreviousClaims = v1alpha1.PreviousDelete }

func soon(s *v1alpha1.VolumeRestoreSpec) {
	s.ReadyTimeout = &metav1.Duration{Duration: 6 * time.Second}
}

// aRestore makes a restore of the run's backup.
func (r *restoreRun) aRestore(ctx context.Context, changes ...func(*v1alpha1.VolumeRestoreSpec)) (*v1alpha1.VolumeRestore, error) {
	v := &v1alpha1.VolumeRestore{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.testbed.namespace, GenerateName: "restore-"},
		Spec: v1alpha1.VolumeRestoreSpec{
			Source:       v1alpha1.RestoreSource{VolumeBackupRef: &v1alpha1.LocalReference{Name: r.backup.Name}},
			ReadyTimeout: &metav1.Duration{Duration: restoreReady},
		},
	}
	if r.scenario.spec != nil {
		r.scenario.spec(&v.Spec)
	}
	for _, c := range changes {
		c(&v.Spec)
	}
	err := r.testbed.Create(ctx, v)
	if err == nil {
		r.guard.Lock()
		r.all = append(r.all, v)
		r.guard.Unlock()
	}
	return v, err
}

func oneRestore(ctx context.Context, r *restoreRun) error {
	_, err := r.aRestore(ctx)
	return err
}

// ofPolicy names no backup: the run's counts in a policy, as its newest.
func ofPolicy(ctx context.Context, r *restoreRun) error {
	const nightly = "nightly"
	if err := r.testbed.Merge(ctx, r.backup, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, v1alpha1.LabelPolicy, nightly)); err != nil {
		return err
	}
	_, err := r.aRestore(ctx, func(s *v1alpha1.VolumeRestoreSpec) {
		s.Source = v1alpha1.RestoreSource{Policy: &v1alpha1.PolicySource{Ref: v1alpha1.LocalReference{Name: nightly}}}
	})
	return err
}

// thenUndo undoes a restore as soon as it is at its end.
func thenUndo(ctx context.Context, r *restoreRun) error {
	v, err := r.aRestore(ctx)
	if err != nil {
		return err
	}
	r.awaitEnd(ctx, v)
	return poll(ctx, endLimit, "it is told to go back", func(ctx context.Context) (string, error) {
		return "", client.IgnoreNotFound(r.testbed.Merge(ctx, v, rollBack))
	})
}

// thenDelete deletes a restore when the application is down.
func thenDelete(ctx context.Context, r *restoreRun) error {
	v, err := r.aRestore(ctx)
	if err != nil {
		return err
	}
	err = poll(ctx, endLimit, "the application is stopped", func(ctx context.Context) (string, error) {
		gone, err := r.testbed.gone(ctx, v)
		early := !r.fault.mild && (gone || framework.RestoreEnded(v))
		return unless(v.Status.ScaledDownAt != nil || early, "%s: %s", v.Status.Phase, v.Status.Message), err
	})
	if err != nil {
		return err
	}
	return client.IgnoreNotFound(r.testbed.Delete(ctx, v))
}

func twoAtOnce(ctx context.Context, r *restoreRun) error {
	if _, err := r.aRestore(ctx); err != nil {
		return err
	}
	_, err := r.aRestore(ctx)
	return err
}

// onBadStorage restores onto storage whose volumes can't be mounted.
func onBadStorage(ctx context.Context, r *restoreRun) error {
	class, err := r.testbed.aStorageClass(ctx, "stageError", "Internal")
	if err != nil {
		return err
	}
	_, err = r.aRestore(ctx, func(s *v1alpha1.VolumeRestoreSpec) { s.Target.StorageClassName = &class })
	return err
}

// paused pauses the rollout of the books.
func paused(ctx context.Context, r *restoreRun) error { return r.pause(ctx, true) }

func unpaused(ctx context.Context, r *restoreRun) error { return r.pause(ctx, false) }

func (r *restoreRun) pause(ctx context.Context, paused bool) error {
	return r.testbed.Merge(ctx, r.testbed.books.Workload(), fmt.Sprintf(`{"spec":{"paused":%t}}`, paused))
}

// withFinishedPod leaves a pod of the books that has ended and still names a
// claim, as one does that was evicted.
func withFinishedPod(ctx context.Context, r *restoreRun) error {
	pods, err := r.testbed.ReadyPods(ctx, r.app)
	if err != nil {
		return err
	}
	runs := pods[0]
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.testbed.namespace, Name: "books-done"},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{
				Name: "main", Image: r.app.Image, Command: []string{"true"},
				VolumeMounts: []corev1.VolumeMount{{Name: "first", MountPath: "/first"}},
			}},
			Volumes: slices.DeleteFunc(slices.Clone(runs.Spec.Volumes), func(v corev1.Volume) bool { return v.Name != "first" }),
		},
	}
	if err := r.testbed.Create(ctx, pod); client.IgnoreAlreadyExists(err) != nil {
		return err
	}
	err = poll(ctx, endLimit, "the pod has done its work", func(ctx context.Context) (string, error) {
		err := r.testbed.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		return unless(pod.Status.Phase == corev1.PodSucceeded, "%s", pod.Status.Phase), err
	})
	if err != nil {
		return err
	}
	// Only now: a ReplicaSet ends pods of its own that it has too many of.
	pod.Labels, pod.OwnerReferences = runs.Labels, runs.OwnerReferences
	return r.testbed.Update(ctx, pod)
}

func withoutFinishedPod(ctx context.Context, r *restoreRun) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: r.testbed.namespace, Name: "books-done"}}
	return client.IgnoreNotFound(r.testbed.Delete(ctx, pod))
}

// goBackAgain asks for it as the message says, where an application could not be ready
// since there was no node for it.
func (r *restoreRun) goBackAgain(ctx context.Context) {
	if r.fault.lasts < evictedAfter {
		return
	}
	for _, v := range r.restores() {
		if c := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionFailed); c == nil || c.Reason != v1alpha1.ReasonRollBackFailed {
			continue
		}
		for _, patch := range []string{`{"spec":{"rollBack":false}}`, rollBack} {
			if err := r.testbed.Merge(ctx, v.DeepCopy(), patch); err != nil {
				r.broke("%v", err)
			}
		}
	}
}
