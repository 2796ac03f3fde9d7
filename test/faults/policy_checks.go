package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// checkMade holds the policy to one backup for each due time, and for each time
// that somebody asked, and none else. Each that there ever was counts: one that
// is made again has a UID of its own.
func (r *policyRun) checkMade() {
	times := map[time.Time]int{}
	for _, b := range r.backups() {
		if !r.before[b.Name] {
			times[dueTime(b).UTC()]++
		}
	}
	for due, n := range times {
		what, wants := due.Format(time.RFC3339), 1
		switch {
		case due.IsZero():
			what, wants = "what was asked for", r.asked
		case !slices.ContainsFunc(r.due, due.Equal):
			wants = 0
		}
		if n > wants {
			r.violates("TWICE: for %s there were %d backups and should be %d", what, n, wants)
		}
	}
	made := r.made(time.Time{})
	for _, due := range r.due {
		made = append(made, r.made(due)...)
	}
	if r.fault.mild {
		if wrong := complete(r.verdict())(made); wrong != "" {
			r.violates("%s", wrong)
		}
	}
}

// checkKept waits until what the retention doesn't keep is gone, to its copies in
// the storage. What is kept is there at once.
func (r *policyRun) checkKept(ctx context.Context) {
	var lost []string
	err := poll(ctx, goneLimit, "what isn't kept is gone", func(ctx context.Context) (string, error) {
		p, err := r.policy(ctx)
		if err != nil {
			return "", err
		}
		var there v1alpha1.VolumeBackupList
		if err := r.testbed.List(ctx, &there, client.InNamespace(r.testbed.namespace)); err != nil {
			return "", err
		}
		_, contents, err := r.testbed.left(ctx)
		if err != nil {
			return "", err
		}
		lost = nil
		var left []string
		for b, isKept := range r.kept() {
			i := slices.IndexFunc(there.Items, func(other v1alpha1.VolumeBackup) bool { return other.UID == b.UID })
			switch {
			case isKept && (i < 0 || !there.Items[i].DeletionTimestamp.IsZero()):
				lost = append(lost, b.Name)
			case isKept || p == nil: // without the policy nothing more is removed
			case i >= 0:
				left = append(left, b.Name)
			default:
				left = append(left, r.leftOf(b, contents)...)
			}
		}
		return strings.Join(left, ", "), nil
	})
	if len(lost) > 0 && !r.noted(&r.namespaceGone) {
		r.violates("LOST: %s, which retention keeps", strings.Join(lost, ", "))
	}
	if err != nil {
		r.violates("retention: %v", err)
	}
}

// kept tells of each backup that there ever was whether it is to be there: those
// that are complete by the rules, and all others.
func (r *policyRun) kept() map[*v1alpha1.VolumeBackup]bool {
	kept := map[*v1alpha1.VolumeBackup]bool{}
	var complete []*v1alpha1.VolumeBackup
	for _, b := range r.backups() {
		kept[b] = true
		if isTrue(b, v1alpha1.ConditionComplete) {
			complete = append(complete, b)
		}
	}
	if n := r.scenario.keepLast; n > 0 && !r.scenario.braked {
		slices.SortFunc(complete, func(a, b *v1alpha1.VolumeBackup) int { return from(a).Compare(from(b)) })
		for _, b := range complete[:max(0, len(complete)-n)] {
			kept[b] = false
		}
	}
	return kept
}

// from is the moment that a backup counts by.
func from(b *v1alpha1.VolumeBackup) time.Time {
	if due := dueTime(b); !due.IsZero() {
		return due
	}
	if q := b.Status.Quiesce; q != nil && q.CutAt != nil {
		return q.CutAt.Time
	}
	return b.CreationTimestamp.Time
}

// leftOf is what is left of a backup that is gone. That a copy is gone can be said
// only of one whose handle was seen while it was there.
func (r *policyRun) leftOf(b *v1alpha1.VolumeBackup, contents []snapshotv1.VolumeSnapshotContent) (left []string) {
	for _, v := range b.Status.Volumes {
		for _, c := range contents {
			if c.Name == v.ContentName {
				left = append(left, "content "+c.Name)
			}
		}
		handle := r.handleOf(v.ContentName)
		hasCopy, _ := framework.HasCopy(handle)
		switch {
		case handle == "":
			left = append(left, "perhaps the copy of content "+v.ContentName+", whose handle wasn't seen")
		case hasCopy:
			left = append(left, "copy "+handle)
		}
	}
	return left
}

// checkStatus waits until the policy tells what there is.
func (r *policyRun) checkStatus(ctx context.Context) {
	err := poll(ctx, goneLimit, "its status is true", func(ctx context.Context) (string, error) {
		p, err := r.policy(ctx)
		if err != nil || p == nil {
			return "", err
		}
		return strings.Join(r.untrue(p), "; "), nil
	})
	if err != nil {
		r.violates("the policy: %v", err)
	}
}

// untrue is what of the status isn't so.
func (r *policyRun) untrue(p *v1alpha1.SnapshotPolicy) (wrong []string) {
	wants := func(good bool, format string, args ...any) {
		if !good {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	s := &p.Status
	wants(s.ObservedGeneration == p.Generation, "it is of generation %d, not %d", s.ObservedGeneration, p.Generation)
	wants(s.MissedRuns == 0, "it missed %d runs", s.MissedRuns)
	stalled := ptr.Deref(meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionStalled), metav1.Condition{})
	wants((stalled.Reason == v1alpha1.ReasonRetentionHeld) == r.scenario.braked, "it is Stalled: %q", stalled.Reason)
	if len(s.Applications) != 1 {
		return append(wrong, fmt.Sprintf("it has %d applications", len(s.Applications)))
	}
	row := &s.Applications[0]
	if len(r.due) > 0 {
		last := metav1.NewTime(r.due[len(r.due)-1])
		wants(last.Equal(s.LastScheduleTime) && last.Equal(row.LastScheduleTime), "it ran last for %s, and for %s", s.LastScheduleTime, row.LastScheduleTime)
	}
	if r.asked > 0 {
		now := ptr.Deref(s.RunNow, v1alpha1.RunNowStatus{})
		made := r.made(time.Time{})
		wants(now.Done && now.Value == asksOnce && len(made) == 1 && slices.Equal(now.Backups, []string{made[0].Name}), "what was asked for is %+v", now)
	}
	all := r.backups()
	if len(all) == 0 {
		return append(wrong, "there is no backup to tell of")
	}
	slices.SortFunc(all, func(a, b *v1alpha1.VolumeBackup) int { return from(a).Compare(from(b)) })
	newest := all[len(all)-1]
	wants(row.LastBackup == newest.Name, "the last backup is %s, not %s", newest.Name, row.LastBackup)
	isHealthy := meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionHealthy)
	wants(isHealthy == isTrue(newest, v1alpha1.ConditionComplete) && isHealthy == (row.Message == ""), "it is healthy: %t: %s", isHealthy, row.Message)
	if isTrue(newest, v1alpha1.ConditionComplete) {
		at := newest.Status.CompletionTime
		wants(at.Equal(s.LastSuccessTime) && at.Equal(row.LastSuccessTime), "it succeeded last at %s, not %s and %s", at, s.LastSuccessTime, row.LastSuccessTime)
		wants(row.LastConsistency == newest.Status.Consistency, "the last backup is %s, not %s", newest.Status.Consistency, row.LastConsistency)
	}
	return wrong
}
