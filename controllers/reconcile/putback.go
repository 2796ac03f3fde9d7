package reconcile

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// LeaveAlone ends an object of a one-shot kind that Velero's Restore by has put
// back: that isn't somebody's wish to have it done. It is neither run nor undone, and
// goes when it is deleted. Where by is empty it is skipped.
func (s *Scope[T]) LeaveAlone(ctx context.Context, by, finalizer string, hasEnded bool) Outcome {
	if by == "" {
		return Skip()
	}
	if !hasEnded {
		s.MarkFailed(v1alpha1.ReasonPutBack, fmt.Sprintf(
			"it was put back by Velero's Restore %s (label %s), and is left alone: nothing was run, stopped or undone for it. To have it done create another, without that label", by, v1alpha1.LabelVelero))
		return Failed(s.Save(ctx)) // before its finalizer goes
	}
	if s.Object.GetDeletionTimestamp().IsZero() || !controllerutil.ContainsFinalizer(s.Object, finalizer) {
		return Done()
	}
	if err := s.Release(ctx, finalizer); err != nil {
		return Retry(err)
	}
	return Done()
}
