package restore

import (
	"fmt"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// StepName is the name of a step of a restore's plan.
type StepName string

// The steps. Each is done or not by what is there, so a manager that comes back
// after a crash takes up the first that isn't:
//
//	Preparing   MakeClaims ─ CheckMounts ─ EndMountCheck ─
//	            Fill (from a repository, or with paths) ─ KeepVolumes ─ ReserveVolumes
//	ScalingDown ScaleDown ─ AwaitPodsGone           (the application is down from here)
//	Swapping    Swap
//	ScalingUp   ScaleUp ─ AwaitReady                (and up again)
//	            Release ─ End
//
//	RollingBack EndMountCheck ─ KeepVolumes ─ ScaleDown ─ AwaitPodsGone ─ SwapBack ─
//	            ScaleUp ─ AwaitReady ─ Discard ─ End
//
//	            AwaitPodsGone ─ ScaleUp ─ Release ─ CallOff   (it can't be undone: the
//	                                                           application goes on as
//	                                                           it was)
const (
	// StepMakeClaims makes claims from the snapshots, or empty ones to be filled.
	StepMakeClaims StepName = "MakeClaims"
	// StepCheckMounts mounts them in short pods.
	StepCheckMounts StepName = "CheckMounts"
	// StepEndMountCheck sees those pods gone.
	StepEndMountCheck StepName = "EndMountCheck"
	// StepFill has movers write into them what the repository has, or paths of the
	// snapshots.
	StepFill StepName = "Fill"
	// StepKeepVolumes retains what a claim's deletion could take along.
	StepKeepVolumes StepName = "KeepVolumes"
	// StepReserveVolumes reserves each new volume for the old claim's name.
	StepReserveVolumes StepName = "ReserveVolumes"
	// StepScaleDown tells the application to stop.
	StepScaleDown StepName = "ScaleDown"
	// StepAwaitPodsGone sees all its pods gone.
	StepAwaitPodsGone StepName = "AwaitPodsGone"
	// StepSwap leads the application's claims to the new volumes.
	StepSwap StepName = "Swap"
	// StepSwapBack leads the application's claims to the previous volumes.
	StepSwapBack StepName = "SwapBack"
	// StepScaleUp tells the application to start.
	StepScaleUp StepName = "ScaleUp"
	// StepAwaitReady sees it ready.
	StepAwaitReady StepName = "AwaitReady"
	// StepRelease lets the new volumes be as any other.
	StepRelease StepName = "Release"
	// StepDiscard lets the previous volumes be as any other, and removes what was
	// only made for the restore.
	StepDiscard StepName = "Discard"
	// StepCallOff ends the undoing of a restore that stays complete.
	StepCallOff StepName = "CallOff"
	// StepEnd ends the restore, or its undoing.
	StepEnd StepName = "End"
)

// Step is a step of a plan.
type Step struct {
	Name  StepName
	Phase v1alpha1.RestorePhase
	// What it does, for people.
	What string
	// isMarked is true where the step counts as done, whatever is there by now.
	isMarked bool
	// byMark is true for a step that is done only once it is marked: what it came
	// to is in the status.
	byMark bool
	need   func() Need
}

// Need is what the step still needs. A step that needs nothing and isn't done
// waits to be marked as done.
func (s Step) Need() Need { return s.need() }

// IsDone is true for a step with nothing left to do.
func (s Step) IsDone() bool { return s.isMarked || !s.byMark && s.need().IsNothing() }

// Next is the first step of the plan that isn't done.
func Next(s *State) Step {
	plan := Plan(s)
	for _, step := range plan {
		if !step.IsDone() {
			return step
		}
	}
	return plan[len(plan)-1]
}

// Plan is every step of a restore from its beginning, or of its undoing. It is
// made anew from what is there each time.
func Plan(s *State) []Step {
	if WayOf(s.Restore).IsBack {
		return planBack(s)
	}
	plan := planPreparation(s)
	if s.Restore.Status.Strategy == v1alpha1.StrategyClaimsOnly {
		return append(plan, end(v1alpha1.RestoreCompleted, Outcome(s.Restore)))
	}
	const down, up = v1alpha1.RestoreScalingDown, v1alpha1.RestoreScalingUp
	isSwapped, isReady := s.holds(v1alpha1.ConditionSwapped), s.holds(v1alpha1.ConditionApplicationReady)
	return append(plan,
		Step{Name: StepScaleDown, Phase: down, What: s.whatScaleDown(), isMarked: isSwapped || s.isTold(), byMark: true, need: s.scaleDown},
		Step{Name: StepAwaitPodsGone, Phase: down, What: "waits until all its pods are gone", isMarked: isSwapped, need: s.awaitPodsGone},
		Step{Name: StepSwap, Phase: v1alpha1.RestoreSwapping, What: strategyOf(s.Restore).what(), isMarked: isSwapped, byMark: true, need: s.swap},
		Step{Name: StepScaleUp, Phase: up, What: s.whatScaleUp(), isMarked: isReady || s.isStarted(), byMark: true, need: s.scaleUp},
		Step{Name: StepAwaitReady, Phase: up, What: "waits until it is ready on its new volumes; undoes the restore where it isn't in time", isMarked: isReady, byMark: true, need: s.awaitReady},
		Step{Name: StepRelease, Phase: up, What: s.whatRelease(), need: s.release},
		end(v1alpha1.RestoreCompleted, "the application runs on its restored volumes"),
	)
}

// planPreparation is what is done while the application runs. A claim that is there
// already is filled, and nothing else.
func planPreparation(s *State) []Step {
	const phase = v1alpha1.RestorePreparing
	n := len(s.Restore.Status.Claims)
	fill := Step{Name: StepFill, Phase: phase, What: fmt.Sprintf("fills %d claim(s) from %s; the application runs", n, SourceOf(s.Restore)), isMarked: s.holds(v1alpha1.ConditionClaimsFilled), byMark: true, need: s.fill}
	if IsIntoFolder(s.Restore) {
		return []Step{fill}
	}
	areMounted, isSwapped := s.holds(v1alpha1.ConditionClaimsReady), s.holds(v1alpha1.ConditionSwapped)
	plan := []Step{
		{Name: StepMakeClaims, Phase: phase, What: fmt.Sprintf("makes %d claim(s) from %s", n, SourceOf(s.Restore)), isMarked: areMounted, need: s.makeClaims},
		{Name: StepCheckMounts, Phase: phase, What: fmt.Sprintf("binds %d claim(s) and proves by a short pod that they mount; the application runs", n), isMarked: areMounted, byMark: true, need: s.checkMounts},
		{Name: StepEndMountCheck, Phase: phase, What: "waits until that pod is gone", need: s.endMountCheck},
	}
	if IsFilled(s.Restore) {
		plan = append(plan, fill)
	}
	if s.Restore.Status.Strategy != v1alpha1.StrategyClaimsOnly {
		plan = append(plan, Step{Name: StepKeepVolumes, Phase: phase, What: whatKeep, isMarked: isSwapped, need: s.keepVolumes})
	}
	if s.Restore.Status.Strategy == v1alpha1.StrategyReplace {
		plan = append(plan, Step{Name: StepReserveVolumes, Phase: phase, What: "reserves the new volumes for the names of the old claims", isMarked: isSwapped, need: s.reserveVolumes})
	}
	return plan
}

func planBack(s *State) []Step {
	const phase = v1alpha1.RestoreRollingBack
	if p := CallOff(s); p != nil {
		mayStart := !s.isStopped() || s.Restore.Status.RollBack.ScaledUpAt != nil
		return []Step{
			{Name: StepAwaitPodsGone, Phase: phase, What: "waits until all its pods are gone", isMarked: mayStart, need: s.awaitPodsGone},
			{Name: StepScaleUp, Phase: phase, What: s.whatScaleUp(), isMarked: !s.isStopped() || s.isStarted(), byMark: true, need: s.scaleUp},
			{Name: StepRelease, Phase: phase, What: "gives the volumes that it keeps their reclaim policy back", isMarked: !s.holds(v1alpha1.ConditionComplete), need: s.releaseCurrent},
			{Name: StepCallOff, Phase: phase, What: "leaves it on its restored volumes: " + p.Message, byMark: true, need: func() Need { return Need{} }},
		}
	}
	plan := []Step{{Name: StepEndMountCheck, Phase: phase, What: "ends the pod that proves the claims", need: s.endMountCheck}}
	if s.Restore.Status.ScaledDownAt != nil {
		isReady := s.Restore.Status.RollBack.ReadyAt != nil // and isn't stopped again, whatever becomes of its claims
		isBack := isReady || s.isSwappedBack()
		plan = append(plan,
			Step{Name: StepKeepVolumes, Phase: phase, What: whatKeep, isMarked: isBack, need: s.keepVolumes},
			Step{Name: StepScaleDown, Phase: phase, What: s.whatScaleDown(), isMarked: isBack || s.isTold(), byMark: true, need: s.scaleDown},
			Step{Name: StepAwaitPodsGone, Phase: phase, What: "waits until all its pods are gone", isMarked: isBack && s.mayStart(), need: s.awaitPodsGone},
			Step{Name: StepSwapBack, Phase: phase, What: "gives it back its previous volumes", isMarked: isReady, need: s.swap},
			Step{Name: StepScaleUp, Phase: phase, What: s.whatScaleUp(), isMarked: isReady || s.isStarted(), byMark: true, need: s.scaleUp},
			Step{Name: StepAwaitReady, Phase: phase, What: "waits until it is ready on its previous volumes", isMarked: isReady, byMark: true, need: s.awaitReady},
		)
	}
	return append(plan,
		Step{Name: StepDiscard, Phase: phase, What: "gives the previous volumes their reclaim policy back and removes what was only made for the restore", need: s.discard},
		end(v1alpha1.RestoreRolledBack, "the application runs on its previous volumes"),
	)
}

func end(phase v1alpha1.RestorePhase, what string) Step {
	return Step{Name: StepEnd, Phase: phase, What: what, byMark: true, need: func() Need { return Need{} }}
}

// isTold is true where the application was told to stop, on this way, and still
// is.
func (s *State) isTold() bool { return *WayOf(s.Restore).ScaledDownAt != nil && s.isStopped() }

const whatKeep = "sets the volumes to Retain, so that no deleted claim takes one along"

func (s *State) whatScaleDown() string {
	return "scales " + applicationName(s.Restore.Status.Application) + " to zero; it is down from here"
}

func (s *State) whatScaleUp() string {
	if s.Restore.Status.Replicas == nil {
		return "scales it to its replicas again"
	}
	return fmt.Sprintf("scales it to %d replica(s) again", *s.Restore.Status.Replicas)
}

func (s *State) whatRelease() string {
	if s.Restore.Spec.PreviousClaims == v1alpha1.PreviousDelete {
		return "gives the volumes their reclaim policy back and deletes the previous claims"
	}
	return "gives the new volumes the reclaim policy of their class; the previous ones are kept"
}
