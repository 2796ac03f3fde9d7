package backup

import (
	"fmt"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
)

// fit is the Problem of a plan whose status the API server would refuse as too large,
// when the intent is written or when the attempt has ended: by then the application
// may be frozen. Where its owner asked for a backup all the same, and what thaws the
// pods is what takes the room, it is taken without quiet.
func (w *run) fit(p *plan) *v1alpha1.Problem {
	problem := room(w.VolumeBackup, p)
	if problem == nil || p.quiesce.OnFailure != v1alpha1.OnFailureContinue || len(p.quiesce.Targets) == 0 {
		return problem
	}
	p.quiesce = p.quiesce.Unquieted(problem.Message, w.Options.CutTimeout)
	return room(w.VolumeBackup, p)
}

// room looks whether there is room for all that the status will have to hold. It is
// a pure function of its arguments.
func room(b *v1alpha1.VolumeBackup, p *plan) *v1alpha1.Problem {
	alone := b.DeepCopy()
	alone.ManagedFields, alone.Status.Quiesce, alone.Status.Volumes = nil, nil, nil
	pods := limits.Bytes(intendedPods(p.quiesce.Targets))
	if p.quiesce.OnFailure == v1alpha1.OnFailureContinue {
		pods *= 2 // where they can't be thawed they are kept on record beside the next attempt's
	}
	claims := limits.Bytes(p.volumes) + len(p.volumes)*limits.ClaimBytes
	warnings := limits.Bytes(p.allWarnings())
	why := fmt.Sprintf("%d pod(s), each with the post-hook that thaws it, take %d KiB of it, and %d claim(s) with their labels and annotations %d KiB",
		len(p.quiesce.Targets), limits.KiB(pods), len(p.volumes), limits.KiB(claims))
	return limits.Object(limits.Bytes(alone)+pods+claims+warnings, why,
		"Put a long post-hook into a script of the image or of a ConfigMap, or back up fewer claims at once (spec.volumes.include)")
}
