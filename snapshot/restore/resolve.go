package restore

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// Resolution is what a restore sets out to do.
type Resolution struct {
	Strategy v1alpha1.RestoreStrategy
	Reason   string
	Claims   []v1alpha1.RestoredClaim
	// Keeps is how many volumes it will keep.
	Keeps int
	// Autoscaler that steps aside while there are no replicas.
	Autoscaler string
	// Unrestored are claims of the application that the backup doesn't hold.
	Unrestored []string
	// Warnings are what its owner should know and nothing is refused for.
	Warnings []Warning
}

// Warning is told in an event.
type Warning struct{ Reason, Message string }

// Resolve decides what a restore does, or says by a Problem why it can't. It
// changes nothing, so that a dry run can ask the same.
func Resolve(in Input) (*Resolution, error) {
	if err := in.noteMounted(); err != nil {
		return nil, err
	}
	p := &proposal{Input: &in, volumes: in.chosen()}
	p.res.Strategy, p.res.Reason = in.strategy()
	if problem := p.check(outsetChecks); problem != nil {
		return nil, problem
	}
	for _, v := range p.volumes {
		p.res.Claims = append(p.res.Claims, p.claim(v))
	}
	checks := claimChecks
	if IsIntoFolder(in.Restore) {
		checks = folderChecks
	}
	if problem := p.check(checks); problem != nil {
		return nil, problem
	}
	if p.touches() {
		p.res.Autoscaler, p.res.Unrestored = p.autoscaler(), p.unrestored()
	}
	p.res.Keeps, p.res.Warnings = p.keeps(), p.warnings()
	return &p.res, nil
}

// strategy is what is asked for, or what fits, and why. Whether that is possible
// is for the checks to say.
func (in *Input) strategy() (v1alpha1.RestoreStrategy, string) {
	asked := in.Restore.Spec.Target.Strategy
	w := in.Workload
	if isAsked := asked != v1alpha1.StrategyAuto && asked != ""; isAsked {
		return asked, "asked for" + in.although(asked)
	}
	if kind := in.target().Kind; !workload.IsScalable(kind) {
		return v1alpha1.StrategyClaimsOnly, fmt.Sprintf("a %s can't be scaled to zero and back: the claims are made, and nothing is touched", kind)
	} else if w == nil {
		return asked, ""
	}
	switch manager := ManagedBy(w.Meta); {
	case w.Ref.Kind == v1alpha1.KindStatefulSet:
		return v1alpha1.StrategyReplace, "the claim templates of a StatefulSet can't be changed"
	case manager != nil:
		return v1alpha1.StrategyReplace, fmt.Sprintf("it is managed by %s, which would undo a changed template", manager)
	case w.HasHeldRollout:
		return v1alpha1.StrategyReplace, "its rollout is paused and holds changes back, which a changed template would let go"
	}
	if shared := in.shared(); shared != "" {
		return v1alpha1.StrategyReplace, shared + ", and would stay on the previous volume"
	}
	return v1alpha1.StrategyRepoint, "it can be repointed and no other tool manages it"
}

// although is what speaks against a strategy that is asked for, empty where
// nothing does.
func (in *Input) although(asked v1alpha1.RestoreStrategy) string {
	if asked != v1alpha1.StrategyRepoint || in.Workload == nil {
		return ""
	}
	if shared := in.shared(); shared != "" {
		return ", although " + shared + ", and stays on the previous volume"
	}
	return ""
}

// claim is what becomes of one claim of the backup.
func (p *proposal) claim(v v1alpha1.VolumeStatus) v1alpha1.RestoredClaim {
	if IsIntoFolder(p.Restore) {
		return p.claimWithFolder(v)
	}
	c := v1alpha1.RestoredClaim{ClaimName: v.ClaimName, SnapshotName: v.SnapshotName, SnapshotUID: p.snapshotUID(v)}
	if p.touches() {
		c.PreviousClaim, _ = p.mountedAs(p.res.Strategy, v.ClaimName)
	}
	mounted := cmp.Or(c.PreviousClaim, v.ClaimName)
	switch c.RestoredClaim = p.newName(v.ClaimName, mounted); p.res.Strategy {
	case v1alpha1.StrategyRepoint:
		c.TemplateVolumes = p.Workload.TemplateVolumes(mounted)
	case v1alpha1.StrategyReplace:
		c.RestoredClaim, c.TemporaryClaim = mounted, TemporaryClaimName(p.Restore.Name, p.Restore.UID, v.ClaimName)
	}
	c.OriginalClaim = originalOf(mounted, p.Claims[mounted])
	c.MountCheckPod = MountCheckPodName(p.Restore.Name, p.Restore.UID, p.group(mounted))
	c.Shape = p.shape(mounted, v)
	c.Fill = p.fillOf(v, &c)
	return c
}

// group is the claims that are mounted together: those of one pod. The claims
// of a StatefulSet's replicas may live on different nodes.
func (in *Input) group(claim string) string {
	if in.Workload == nil {
		return claim
	}
	if _, ordinal := in.Workload.ClaimTemplate(claim); ordinal != "" {
		return ordinal
	}
	if in.Workload.Ref.Kind == v1alpha1.KindStatefulSet {
		return "shared"
	}
	return ""
}

// unrestored are the claims of the application that the backup doesn't hold.
func (p *proposal) unrestored() []string {
	var unrestored []string
	for _, name := range p.mounted {
		if !slices.ContainsFunc(p.held(), func(held string) bool {
			mounted, _ := p.mountedAs(p.res.Strategy, held)
			return mounted == name
		}) {
			unrestored = append(unrestored, name)
		}
	}
	return unrestored
}

// autoscaler is the one that steps aside while there are no replicas.
func (in *Input) autoscaler() string {
	name := ""
	for _, h := range autoscalersOf(in.Workload, in.Autoscalers) {
		name = h.Name
	}
	return name
}
