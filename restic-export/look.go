package resticexport

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// A repository is opened again each hour while it is well. While it isn't, half as
// long as it hasn't been after each look, so that a slip is mended at once and a
// server that is down for a day isn't asked all the time.
const (
	lookInterval = time.Hour
	firstLook    = 10 * time.Second
)

// NextLook is when a repository is to be opened next: at once where its spec has
// changed since it last was, where a mover could not work in it, or where the last
// look was in the future, by a clock that was wrong.
func NextLook(r *v1alpha1.ResticRepository, now time.Time) time.Time {
	last, ready := r.Status.LastLookTime, meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionReady)
	if last == nil || ready == nil || ready.ObservedGeneration != r.Generation || ready.Reason == v1alpha1.ReasonMoverPending || last.After(now) {
		return time.Time{} // or a look is under way
	}
	if meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionReady) {
		if IsInDoubt(r) {
			return time.Time{}
		}
		return last.Add(lookInterval)
	}
	return last.Add(min(lookInterval, max(firstLook, last.Sub(ready.LastTransitionTime.Time)/2)))
}

// IsInDoubt is true for a repository that a mover could not work in since the last
// look at it.
func IsInDoubt(r *v1alpha1.ResticRepository) bool {
	failed, looked := r.Status.LastFailureTime, r.Status.LastLookTime
	return failed != nil && looked != nil && failed.After(looked.Time)
}

// Found is what a look has come to.
type Found struct {
	// Ready is true for a repository that can be worked in.
	Ready bool
	// Init is true where there is none yet and one is to be made.
	Init bool
	// Reason and Message are those of the condition Ready.
	Reason, Message string
}

// Judge says what a look has come to. A repository that was there once is never
// made anew: an empty one in its place would hide that all is lost, and a wrong
// place would get one beside the right one.
func Judge(status *v1alpha1.ResticRepositoryStatus, result Result) Found {
	id := ""
	if result.Repository != nil {
		id = result.Repository.ID
	}
	switch {
	case result.Cause == CauseNoRepository && status.RepositoryID == "":
		return Found{Init: true, Reason: v1alpha1.ReasonInitialising, Message: "there is no repository yet: one is made"}
	case result.Cause == CauseNoRepository:
		return Found{Reason: v1alpha1.ReasonRepositoryVanished, Message: fmt.Sprintf(
			"repository %.8s was there and isn't any more. It is never made anew: bring it back, or, if its backups are given up, delete this ResticRepository and create it again", status.RepositoryID)}
	case !result.Done:
		return Found{Reason: string(result.Cause), Message: result.Message}
	case status.RepositoryID != "" && status.RepositoryID != id:
		return Found{Reason: v1alpha1.ReasonRepositoryChanged, Message: fmt.Sprintf(
			"there is repository %.8s now, and %.8s was there before: nothing is written into it. Bring that back, or delete this ResticRepository and create it again", id, status.RepositoryID)}
	}
	return Found{Ready: true, Reason: v1alpha1.ReasonOpened, Message: fmt.Sprintf("repository %.8s was opened", id)}
}
