package policy

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/policy"
)

// create makes the backup of an application by a name, or by a longer one where
// that is another's. It comes back with the name that it has. isNew is false where
// it was made before.
func (w *run[T]) create(ctx context.Context, app policy.Application, name string, due *time.Time) (called string, isNew bool, err error) {
	out, err := w.leftOut(ctx, app)
	if err != nil {
		return "", false, err
	}
	for _, name := range []string{name, policy.LongerName(name, app)} {
		b := policy.NewBackup(w.state.Policy, app, name, due)
		policy.LeaveOut(b, out)
		err := w.Create(ctx, b)
		if !apierrors.IsAlreadyExists(err) {
			return name, err == nil, err
		}
		var there v1alpha1.VolumeBackup
		if err := w.Live.Get(ctx, client.ObjectKeyFromObject(b), &there); err != nil {
			return "", false, err
		}
		if policy.IsFor(&there, b) {
			return name, false, nil
		}
	}
	return "", false, fmt.Errorf("there are other backups by the name %s, in short and at length: delete one of them", name)
}
