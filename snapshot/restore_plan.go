package snapshot

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// RestoreStep is one step of a restore's plan.
type RestoreStep string

// The steps. Each is done or not by what is observed, so a manager that comes
// back after a crash takes up the first that isn't:
//
//	Preparing   MakeClaims ─ ProveClaims ─ EndProof ─ KeepVolumes ─ ReserveVolumes
//	ScalingDown ScaleDown ─ AwaitPodsGone           (the application is down from here)
//	Swapping    Swap
//	ScalingUp   ScaleUp ─ AwaitReady                (and up again)
//	            Release ─ End
//
//	RollingBack EndProof ─ KeepVolumes ─ ScaleDown ─ AwaitPodsGone ─ SwapBack ─
//	            ScaleUp ─ AwaitReady ─ Discard ─ End
const (
	// StepMakeClaims: claims are made from the snapshots.
	StepMakeClaims RestoreStep = "MakeClaims"
	// StepProveClaims: short pods mount them.
	StepProveClaims RestoreStep = "ProveClaims"
	// StepEndProof: those pods are gone.
	StepEndProof RestoreStep = "EndProof"
	// StepKeepVolumes: what a claim's deletion could take along is retained.
	StepKeepVolumes RestoreStep = "KeepVolumes"
	// StepReserveVolumes: each new volume is reserved for the old claim's name.
	StepReserveVolumes RestoreStep = "ReserveVolumes"
	// StepScaleDown: the application is told to stop.
	StepScaleDown RestoreStep = "ScaleDown"
	// StepAwaitGone: all its pods are gone.
	StepAwaitGone RestoreStep = "AwaitPodsGone"
	// StepSwap: the application's claims lead to the new volumes.
	StepSwap RestoreStep = "Swap"
	// StepSwapBack: the application's claims lead to the previous volumes.
	StepSwapBack RestoreStep = "SwapBack"
	// StepScaleUp: the application is told to start.
	StepScaleUp RestoreStep = "ScaleUp"
	// StepAwaitStart: it is ready.
	StepAwaitStart RestoreStep = "AwaitReady"
	// StepRelease: the new volumes are as any other.
	StepRelease RestoreStep = "Release"
	// StepDiscard: the previous volumes are as any other, and what was only
	// made for the restore is gone.
	StepDiscard RestoreStep = "Discard"
	// StepFinish: all is done.
	StepFinish RestoreStep = "End"
)

// PlannedStep is a step with what it does, for people.
type PlannedStep struct {
	Step  RestoreStep
	Phase v1alpha1.RestorePhase
	What  string
	Done  bool
}

// RestoreObserved is what is there of a restore at one moment.
type RestoreObserved struct {
	// Workload is nil where there is none, or none is touched.
	Workload *Workload
	// Pods of the workload that aren't gone.
	Pods []corev1.Pod
	// Finished are pods of the workload that have ended and are left behind.
	Finished []corev1.Pod
	// Others are pods of the namespace that don't belong to the workload.
	Others []corev1.Pod
	// Claims of the namespace, by name.
	Claims map[string]*corev1.PersistentVolumeClaim
	// Volumes that the restore names or its claims are bound to, by name.
	Volumes map[string]*corev1.PersistentVolume
	// Proofs are the pods that prove the claims, by name.
	Proofs map[string]*corev1.Pod
}

// PlanRestore is every step of a restore from now on, or of its undoing, with
// those that are done. It is computed anew from what is observed each time.
func PlanRestore(r *v1alpha1.VolumeRestore, o RestoreObserved) []PlannedStep {
	if r.Status.RollBack != nil {
		return planRollBack(r, o)
	}
	s := &r.Status
	n := len(s.Claims)
	proven := holds(r, v1alpha1.ConditionClaimsReady)
	plan := []PlannedStep{
		{StepMakeClaims, v1alpha1.RestorePreparing, fmt.Sprintf("makes %d claim(s) from the snapshots of VolumeBackup %s", n, s.Source), proven || claimsMade(r, o)},
		{StepProveClaims, v1alpha1.RestorePreparing, fmt.Sprintf("binds %d claim(s) and proves by a short pod that they mount; the application runs", n), proven},
		{StepEndProof, v1alpha1.RestorePreparing, "waits until that pod is gone", len(o.Proofs) == 0},
	}
	if s.Strategy == v1alpha1.StrategyClaimsOnly {
		return append(plan, PlannedStep{StepFinish, v1alpha1.RestoreCompleted, "the claims are there, no application was touched", false})
	}
	swapped, ready := holds(r, v1alpha1.ConditionSwapped), holds(r, v1alpha1.ConditionApplicationReady)
	plan = append(plan, PlannedStep{StepKeepVolumes, v1alpha1.RestorePreparing, "sets the volumes to Retain, so that no deleted claim takes one along", swapped || kept(r, o)})
	if s.Strategy == v1alpha1.StrategyReplace {
		plan = append(plan, PlannedStep{StepReserveVolumes, v1alpha1.RestorePreparing, "reserves the new volumes for the names of the old claims", swapped || reserved(r, o)})
	}
	return append(plan,
		PlannedStep{StepScaleDown, v1alpha1.RestoreScalingDown, "scales " + applicationName(s.Application) + " to zero; it is down from here", swapped || s.ScaledDownAt != nil && stopped(o)},
		PlannedStep{StepAwaitGone, v1alpha1.RestoreScalingDown, "waits until all its pods are gone", swapped || len(o.Pods) == 0},
		PlannedStep{StepSwap, v1alpha1.RestoreSwapping, whatSwap(r), swapped},
		PlannedStep{StepScaleUp, v1alpha1.RestoreScalingUp, "scales it to " + replicas(r) + " again", ready || started(r, o, s.ScaledUpAt != nil)},
		PlannedStep{StepAwaitStart, v1alpha1.RestoreScalingUp, "waits until it is ready on its new volumes; undoes the restore where it isn't in time", ready},
		PlannedStep{StepRelease, v1alpha1.RestoreScalingUp, whatRelease(r), released(r, o)},
		PlannedStep{StepFinish, v1alpha1.RestoreCompleted, "the application runs on its restored volumes", false},
	)
}

// NextRestoreStep is the first step of the plan that isn't done.
func NextRestoreStep(r *v1alpha1.VolumeRestore, o RestoreObserved) PlannedStep {
	plan := PlanRestore(r, o)
	for _, step := range plan {
		if !step.Done {
			return step
		}
	}
	return plan[len(plan)-1]
}

func planRollBack(r *v1alpha1.VolumeRestore, o RestoreObserved) []PlannedStep {
	const phase = v1alpha1.RestoreRollingBack
	s := &r.Status
	plan := []PlannedStep{{StepEndProof, phase, "ends the pod that proves the claims", proofsGo(o)}}
	if s.ScaledDownAt != nil {
		back, ready := SwappedBack(r, o), s.RollBack.ReadyAt != nil
		plan = append(plan,
			PlannedStep{StepKeepVolumes, phase, "sets the volumes to Retain, so that no deleted claim takes one along", back || keptBack(r, o)},
			PlannedStep{StepScaleDown, phase, "scales " + applicationName(s.Application) + " to zero; it is down from here", back || s.RollBack.ScaledDownAt != nil && stopped(o)},
			PlannedStep{StepAwaitGone, phase, "waits until all its pods are gone", len(o.Pods) == 0 || back && mayStart(r, o)},
			PlannedStep{StepSwapBack, phase, "gives it back its previous volumes", back},
			PlannedStep{StepScaleUp, phase, "scales it to " + replicas(r) + " again", ready || started(r, o, s.RollBack.ScaledUpAt != nil)},
			PlannedStep{StepAwaitStart, phase, "waits until it is ready on its previous volumes", ready},
		)
	}
	return append(plan,
		PlannedStep{StepDiscard, phase, "gives the previous volumes their reclaim policy back and removes what was only made for the restore", discarded(r, o)},
		PlannedStep{StepFinish, v1alpha1.RestoreRolledBack, "the application runs on its previous volumes", false},
	)
}

// mayStart is true where an application that has its previous volumes needn't
// wait for its old pods before it is started: somebody has started it, it was
// told to start, or pods that never went are why it goes back.
func mayStart(r *v1alpha1.VolumeRestore, o RestoreObserved) bool {
	rb := r.Status.RollBack
	return !stopped(o) || rb.ScaledUpAt != nil || rb.ReadyAt != nil || rb.Reason == v1alpha1.ReasonPodsRemain
}

// RestoreEnded is true for a restore that has nothing more to do by itself.
func RestoreEnded(r *v1alpha1.VolumeRestore) bool {
	if r.Status.RollBack != nil && r.Status.RollBack.EndedAt == nil {
		return false
	}
	return holds(r, v1alpha1.ConditionComplete) || holds(r, v1alpha1.ConditionFailed)
}

// Restores is true for a restore of that application, or of that claim.
func Restores(r *v1alpha1.VolumeRestore, of v1alpha1.ApplicationReference) bool {
	if r.Status.Application != nil && *r.Status.Application == of {
		return true
	}
	return of.Kind == v1alpha1.KindPersistentVolumeClaim && !every(r, func(c *v1alpha1.RestoredClaim) bool {
		return c.PreviousClaim != of.Name && c.RestoredClaim != of.Name
	})
}

func holds(r *v1alpha1.VolumeRestore, condition string) bool {
	return meta.IsStatusConditionTrue(r.Status.Conditions, condition)
}

func applicationName(ref *v1alpha1.ApplicationReference) string {
	if ref == nil {
		return "the application"
	}
	return fmt.Sprintf("%s %s", ref.Kind, ref.Name)
}

func replicas(r *v1alpha1.VolumeRestore) string {
	if r.Status.Replicas == nil {
		return "its replicas"
	}
	return fmt.Sprintf("%d replica(s)", *r.Status.Replicas)
}

func whatSwap(r *v1alpha1.VolumeRestore) string {
	if r.Status.Strategy == v1alpha1.StrategyRepoint {
		return "points its pod template at the new claims"
	}
	return "deletes the old claims, whose volumes are kept, and makes them again for the new volumes"
}

func whatRelease(r *v1alpha1.VolumeRestore) string {
	if r.Spec.PreviousClaims == v1alpha1.PreviousDelete {
		return "gives the volumes their reclaim policy back and deletes the previous claims"
	}
	return "gives the new volumes the reclaim policy of their class; the previous ones are kept"
}
