package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// Choose is the newest backup of a policy that is complete and not lost, with data from asOf at the
// latest, or from any time where asOf is zero. backups are all of a namespace.
// app is nil where nobody has said of which application. A Problem says what
// there is.
func Choose(policy string, app *v1alpha1.ApplicationReference, asOf time.Time, backups []v1alpha1.VolumeBackup) (*v1alpha1.VolumeBackup, error) {
	var newest *v1alpha1.VolumeBackup
	var applications []string
	var tooNew time.Time
	for i := range backups {
		b := &backups[i]
		of := ApplicationOf(b).Ref
		if b.Labels[v1alpha1.LabelPolicy] != policy || !isRestorable(b) || !b.DeletionTimestamp.IsZero() {
			continue
		}
		applications = append(applications, fmt.Sprintf("%s %s", of.Kind, of.Name))
		if app != nil && (app.Name != of.Name || app.Kind != "" && app.Kind != of.Kind) {
			continue
		}
		at := DataTime(b)
		if !asOf.IsZero() && at.After(asOf) {
			if tooNew.IsZero() || at.Before(tooNew) {
				tooNew = at
			}
			continue
		}
		if newest == nil || at.After(DataTime(newest)) {
			newest = b
		}
	}
	if several := names.Set(applications); app == nil && len(several) > 1 {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonAmbiguousApplication,
			"policy %q has backups of several applications: write one of them into spec.target.applicationRef: %s", policy, names.List(several))
	}
	if newest == nil {
		return nil, noneOf(policy, app, tooNew, names.Set(applications))
	}
	return newest, nil
}

func noneOf(policy string, app *v1alpha1.ApplicationReference, tooNew time.Time, applications []string) error {
	of := ""
	if app != nil {
		of = " of " + strings.TrimSpace(string(app.Kind)+" "+app.Name)
	}
	const show = ": kubectl get volumebackup -l " + v1alpha1.LabelPolicy + "=%s shows those that are"
	switch {
	case !tooNew.IsZero():
		return v1alpha1.Problemf(v1alpha1.ReasonBackupNotFound,
			"policy %q has no complete backup%s that old: its oldest is of %s"+show, policy, of, tooNew.UTC().Format(time.RFC3339), policy)
	case len(applications) > 0:
		return v1alpha1.PassingProblemf(v1alpha1.ReasonBackupNotFound,
			"policy %q has no complete backup%s, but of %s", policy, of, names.List(applications))
	}
	return v1alpha1.PassingProblemf(v1alpha1.ReasonBackupNotFound, "policy %q has no complete backup%s in this namespace"+show, policy, of, policy)
}

// DataTime is the moment that a backup's data is from.
func DataTime(b *v1alpha1.VolumeBackup) time.Time {
	if q := b.Status.Quiesce; q != nil && q.CutAt != nil {
		return q.CutAt.Time
	}
	if at := b.Status.CompletionTime; at != nil {
		return at.Time
	}
	return slices.MaxFunc([]time.Time{b.CreationTimestamp.Time, DueTime(b)}, time.Time.Compare)
}
