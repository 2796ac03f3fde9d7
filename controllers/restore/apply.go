package restore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"golang.org/x/sync/errgroup"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/restore"
	"github.com/lull-dev/lull/snapshot/workload"
)

// changesAtOnce bounds how many changes of one restore are under way.
const changesAtOnce = 16

// apply makes changes side by side. refused tells of those that somebody refused
// and may let be made later. A refusal that nobody lifts is a Problem.
func (w *run) apply(ctx context.Context, changes []restore.Change) (refused []string, err error) {
	refusals := make([]string, len(changes))
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(changesAtOnce)
	for i, change := range changes {
		all.Go(func() (err error) {
			refusals[i], err = judge(change, write(ctx, w.Client, change))
			return err
		})
	}
	err = all.Wait()
	return slices.DeleteFunc(refusals, func(text string) bool { return text == "" }), err
}

// judge is what the answer to a change comes to.
func judge(change restore.Change, err error) (refusal string, _ error) {
	isRefused := apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || reconcile.IsTooLarge(err)
	isLiftable := apierrors.IsForbidden(err) && !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
	switch {
	case reconcile.LacksRight(err) && !change.IsOptional:
		return "", err
	case err != nil && change.IsOptional:
		return fmt.Sprintf("%s: %v", change.Cannot, err), nil
	case isLiftable && change.Liftable != "":
		return fmt.Sprintf("%s: %v", change.Liftable, err), nil
	case isRefused && change.Reason != "":
		return "", v1alpha1.Problemf(change.Reason, "%s: %v%s", change.Cannot, err, change.Mend)
	}
	return "", err
}

// dryRun asks the API server whether changes may be made, and says which it
// refuses. A webhook that doesn't know dry runs has said nothing.
func (w *run) dryRun(ctx context.Context, changes []restore.Change) (*v1alpha1.Problem, error) {
	dry := client.NewDryRunClient(w.Client)
	for _, change := range changes {
		change.Guard = restore.Unguarded // it is asked for the change alone
		err := write(ctx, dry, change)
		switch {
		case apierrors.IsBadRequest(err) && strings.Contains(err.Error(), "does not support dry run"):
		case change.Verb == restore.Create && isOfQuota(err):
		case isRefusal(err):
			return v1alpha1.Problemf(v1alpha1.ReasonChangeRefused, "%s: %v", change.Cannot, err), nil
		case err != nil:
			return nil, err
		}
	}
	return nil, nil
}

// isRefusal is true for an answer that somebody doesn't want the change. A policy,
// or a webhook, chooses the code that it refuses by.
func isRefusal(err error) bool {
	if err == nil || reconcile.LacksRight(err) {
		return false
	}
	isDenied := strings.Contains(err.Error(), "denied request: ") || strings.Contains(err.Error(), "denied the request")
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || reconcile.IsTooLarge(err) || isDenied
}

// isOfQuota is true for a refusal by a quota. The claim whose place a new one
// takes is counted by it until it is gone.
func isOfQuota(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota")
}

// write makes one change. What is there already, or is gone already, is for the
// next look.
func write(ctx context.Context, c client.Client, change restore.Change) error {
	switch change.Verb {
	case restore.Create:
		return client.IgnoreAlreadyExists(c.Create(ctx, copyOf(change.After)))
	case restore.Delete:
		uid := change.Before.GetUID()
		return client.IgnoreNotFound(c.Delete(ctx, copyOf(change.Before), client.Preconditions{UID: &uid}))
	}
	patch, err := patchOf(change)
	if err != nil {
		return err
	}
	return client.IgnoreNotFound(c.Patch(ctx, copyOf(change.After), patch))
}

// copyOf is a copy to send: the answer is written into it.
func copyOf(obj workload.Object) client.Object { return obj.DeepCopyObject().(client.Object) }

func patchOf(change restore.Change) (client.Patch, error) {
	before := copyOf(change.Before)
	switch change.Guard {
	case restore.SameGeneration:
		return samePatch(change)
	case restore.SameVersion:
		return client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), nil
	}
	return client.MergeFrom(before), nil
}

// samePatch changes an object of the UID and generation that were read, and no
// other.
func samePatch(change restore.Change) (client.Patch, error) {
	before, err := json.Marshal(change.Before)
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(change.After)
	if err != nil {
		return nil, err
	}
	changes, err := jsonpatch.CreatePatch(before, after)
	if err != nil {
		return nil, err
	}
	patch, err := json.Marshal(append([]jsonpatch.Operation{
		jsonpatch.NewOperation("test", "/metadata/uid", change.Before.GetUID()),
		jsonpatch.NewOperation("test", "/metadata/generation", change.Before.GetGeneration()),
	}, changes...))
	return client.RawPatch(types.JSONPatchType, patch), err
}
