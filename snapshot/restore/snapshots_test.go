package restore

import (
	"strings"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// What a claim is made of is told by a name. It has to be the same one from the
// resolution until all of it is read.
func TestASourceIsReplacedMeanwhile(t *testing.T) {
	type status = v1alpha1.VolumeRestoreStatus
	paths := func(r *v1alpha1.VolumeRestore) { r.Spec.Source.Paths = []string{"/a"} }
	for name, c := range map[string]struct {
		resolved, there string // UIDs, "" where none is recorded or nothing is there
		bound           bool
		change          func(*v1alpha1.VolumeRestore)
		reason          string
	}{
		"it is the same":                {resolved: "u", there: "u"},
		"another is in its place":       {resolved: "u", there: "x", reason: v1alpha1.ReasonSnapshotReplaced},
		"it is gone":                    {resolved: "u", reason: v1alpha1.ReasonSnapshotNotFound},
		"resolved by an earlier Lull":   {there: "x"},
		"another, once all was read":    {resolved: "u", there: "x", change: func(r *v1alpha1.VolumeRestore) { setTrue(&r.Status, v1alpha1.ConditionClaimsReady) }},
		"it is gone, once all was read": {resolved: "u", change: func(r *v1alpha1.VolumeRestore) { setTrue(&r.Status, v1alpha1.ConditionClaimsReady) }},
		"another, before its paths are copied": {resolved: "u", there: "x", reason: v1alpha1.ReasonSnapshotReplaced, change: func(r *v1alpha1.VolumeRestore) {
			paths(r)
			setTrue(&r.Status, v1alpha1.ConditionClaimsReady)
		}},
		"another, after its paths are copied": {resolved: "u", there: "x", change: func(r *v1alpha1.VolumeRestore) {
			paths(r)
			setTrue(&r.Status, v1alpha1.ConditionClaimsFilled)
		}},
		"it is gone, and nothing is known of the clone of it": {resolved: "u", reason: v1alpha1.ReasonSnapshotNotFound, change: func(r *v1alpha1.VolumeRestore) {
			paths(r)
			r.Status.Claims[0].Fill = &v1alpha1.ClaimFill{Clone: &v1alpha1.ClaimShape{}}
		}},
		"it is gone, and the clone is of it": {resolved: "u", change: func(r *v1alpha1.VolumeRestore) {
			paths(r)
			r.Status.Claims[0].Fill = &v1alpha1.ClaimFill{Clone: &v1alpha1.ClaimShape{}, CloneUID: "c"}
		}},
		"it is gone, and its paths are copied": {resolved: "u", change: func(r *v1alpha1.VolumeRestore) {
			paths(r)
			r.Status.Claims[0].Fill = &v1alpha1.ClaimFill{Clone: &v1alpha1.ClaimShape{}, FilledAt: &metav1.Time{}}
		}},
		"it is gone, and its claim is bound": {resolved: "u", bound: true},
		"another, though its claim is bound": {resolved: "u", there: "x", bound: true, reason: v1alpha1.ReasonSnapshotReplaced},
		"from a repository": {resolved: "u", there: "x", change: func(r *v1alpha1.VolumeRestore) {
			r.Status.Found = &v1alpha1.FoundBackup{Repository: "offsite"}
		}},
		"on the way back": {resolved: "u", there: "x", change: func(r *v1alpha1.VolumeRestore) { r.Status.RollBack = &v1alpha1.RollBackStatus{} }},
	} {
		r := &v1alpha1.VolumeRestore{}
		r.Status = status{Strategy: v1alpha1.StrategyClaimsOnly, Claims: []v1alpha1.RestoredClaim{{ClaimName: "data", SnapshotName: "s", RestoredClaim: "new"}}}
		r.Status.Claims[0].SnapshotUID = "u"
		if c.resolved == "" {
			r.Status.Claims[0].SnapshotUID = ""
		}
		if c.change != nil {
			c.change(r)
		}
		s := &State{Restore: r, Now: now}
		if c.bound {
			claim := &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "pv"}}
			claim.Status.Phase = corev1.ClaimBound
			s.Claims = map[string]*corev1.PersistentVolumeClaim{"new": claim}
		}
		if c.there != "" {
			snap := &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Name: "s"}}
			snap.UID = "x"
			if c.there == "u" {
				snap.UID = "u"
			}
			s.Snapshots = map[string]*snapshotv1.VolumeSnapshot{"s": snap}
		}
		got := checkSources(s).Problem
		if reason := problemReason(got); reason != c.reason || got != nil && !strings.Contains(got.Message, "Snapshot s of claim data") {
			t.Errorf("%s: %+v, want %q", name, got, c.reason)
		}
	}
}

func problemReason(p *v1alpha1.Problem) string {
	if p == nil {
		return ""
	}
	return p.Reason
}
