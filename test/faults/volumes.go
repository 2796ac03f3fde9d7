package main

import (
	"context"
	"crypto/md5"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// volume is what is known of one that was once bound to a claim of the testbed.
type volume struct {
	name, handle string
	policy       corev1.PersistentVolumeReclaimPolicy
	// old: the application had it before the restore.
	old bool
}

// volumesFolder is where the test driver keeps the disks.
const volumesFolder = "/var/lib/lull-cluster/csi/pool/volumes"

// boundEver are the volumes that are there and are, or were, for a claim of
// the testbed.
func (tb *testbed) boundEver(ctx context.Context) ([]corev1.PersistentVolume, error) {
	var all corev1.PersistentVolumeList
	err := tb.List(ctx, &all)
	return slices.DeleteFunc(all.Items, func(v corev1.PersistentVolume) bool {
		return v.Spec.ClaimRef == nil || v.Spec.ClaimRef.Namespace != tb.namespace
	}), err
}

// mounted are the claims that the workloads' templates and pods name, and one
// that belongs to the testbed.
func (tb *testbed) mounted(ctx context.Context) (map[string]bool, error) {
	var pods corev1.PodList
	if err := tb.List(ctx, &pods, client.InNamespace(tb.namespace)); err != nil {
		return nil, err
	}
	used := map[string]bool{"idle": true, diskClaim: true}
	for _, p := range pods.Items {
		for _, v := range p.Spec.Volumes {
			if v.PersistentVolumeClaim != nil {
				used[v.PersistentVolumeClaim.ClaimName] = true
			}
		}
	}
	return used, nil
}

// countVolumes notes all volumes that are there. The first call notes those
// that the application had before.
func (r *restoreRun) countVolumes(ctx context.Context) error {
	all, err := r.testbed.boundEver(ctx)
	if err != nil {
		return err
	}
	stays, err := r.testbed.claimed(ctx)
	if err != nil {
		return err
	}
	r.guard.Lock()
	defer r.guard.Unlock()
	first := len(r.volumes) == 0
	for _, v := range all {
		if r.volumes[v.Name] == nil && v.Spec.CSI != nil {
			policy := v.Spec.PersistentVolumeReclaimPolicy
			isOld := first && (stays[v.Name] || policy == corev1.PersistentVolumeReclaimRetain) // a clone of an export may be about to go
			r.volumes[v.Name] = &volume{name: v.Name, handle: v.Spec.CSI.VolumeHandle, policy: policy, old: isOld}
		}
	}
	return nil
}

// claimed are the volumes of the claims that are there, and that nobody has deleted.
func (tb *testbed) claimed(ctx context.Context) (map[string]bool, error) {
	var claims corev1.PersistentVolumeClaimList
	err := tb.List(ctx, &claims, client.InNamespace(tb.namespace))
	volumes := map[string]bool{}
	for _, c := range claims.Items {
		volumes[c.Spec.VolumeName] = c.DeletionTimestamp.IsZero()
	}
	return volumes, err
}

// checkVolumes looks for every volume that was ever bound. Lost are those that
// the application has run on and that nobody let go.
func (r *restoreRun) checkVolumes(ctx context.Context) {
	if err := r.countVolumes(ctx); err != nil {
		r.broke("%v", err)
		return
	}
	r.guard.Lock()
	defer r.guard.Unlock()
	for _, known := range r.volumes {
		v := &corev1.PersistentVolume{}
		err := r.testbed.Get(ctx, client.ObjectKey{Name: known.name}, v)
		if apierrors.IsNotFound(err) {
			if known.old && !r.toBeDeleted(known.name) || r.ranOn(known.name) {
				r.violates("LOST: PersistentVolume %s is gone", known.name)
			}
			continue
		}
		if err != nil {
			r.broke("%v", err)
			continue
		}
		if v.Labels[v1alpha1.LabelPrevious] != "" {
			// The node may have it mounted for a while yet: what is on the disk
			// then is not all that there is.
			err := poll(ctx, goneLimit, "all that it held is on it", func(ctx context.Context) (string, error) {
				return r.checkKept(ctx, known), nil
			})
			if err != nil {
				r.violates("LOST: of PersistentVolume %s: %v", known.name, err)
			}
		}
	}
}

// toBeDeleted is true for a previous volume that its owner did not want kept.
func (r *restoreRun) toBeDeleted(name string) bool {
	for _, v := range r.all {
		if v.Spec.PreviousClaims != v1alpha1.PreviousDelete || v.Status.Phase != v1alpha1.RestoreCompleted && v.Status.Phase != "" {
			continue
		}
		for _, c := range v.Status.Claims {
			if c.PreviousVolume == name {
				return true
			}
		}
	}
	return false
}

// ranOn is true for a restored volume on which the application was started.
func (r *restoreRun) ranOn(name string) bool {
	for _, v := range r.all {
		for _, c := range v.Status.Claims {
			if c.RestoredVolume == name && v.Status.ScaledUpAt != nil && !r.toBeDeleted(name) {
				return true
			}
		}
	}
	return false
}

// checkKept reads the ledger on a kept volume's disk, which no pod has mounted,
// and says what is wrong with it: its records are numbered from 1 without a gap,
// each carries its own sum, and those that were there before the restore are
// there. No number stands twice, which is what two pods would do that write at
// the same time, unless somebody deleted a pod: the one that takes its place
// doesn't wait for its end.
func (r *restoreRun) checkKept(ctx context.Context, v *volume) string {
	image := filepath.Join(volumesFolder, v.handle+".img")
	said, err := exec.CommandContext(ctx, "debugfs", "-R", "cat /ledger", image).Output()
	if err != nil {
		return err.Error()
	}
	records := strings.Split(strings.TrimSpace(string(said)), "\n")
	highest := 0
	for i, record := range records {
		number, _, _ := strings.Cut(record, " ")
		n, err := strconv.Atoi(number)
		if want := fmt.Sprintf("%s %x", number, md5.Sum([]byte(number))); err != nil || record != want || n < 1 || n > highest+1 || n <= highest && !r.noted(&r.podGone) {
			return fmt.Sprintf("record %d, after %d, is %q", i+1, highest, record)
		}
		highest = max(highest, n)
	}
	fewest := 0
	for _, s := range r.before {
		if fewest == 0 || s.last < fewest {
			fewest = s.last
		}
	}
	if v.old && highest < fewest {
		return fmt.Sprintf("it has %d records of at least %d", highest, fewest)
	}
	return ""
}

// checkOrphans waits until all that is there belongs to somebody: pods and
// claims to an application, to a restore that keeps them, or that made nothing
// but them; volumes to a claim, or they are kept and say for which restore.
func (r *restoreRun) checkOrphans(ctx context.Context) {
	err := poll(ctx, goneLimit, "all belongs to somebody", func(ctx context.Context) (string, error) {
		left, err := r.orphans(ctx)
		return strings.Join(left, ", "), err
	})
	if err != nil {
		r.violates("orphans: %v", err)
	}
}

func (r *restoreRun) orphans(ctx context.Context) (left []string, err error) {
	used, err := r.testbed.mounted(ctx)
	if err != nil {
		return nil, err
	}
	var pods corev1.PodList
	if err := r.testbed.List(ctx, &pods, client.InNamespace(r.testbed.namespace)); err != nil {
		return nil, err
	}
	for _, p := range pods.Items {
		if p.Labels["app"] == "" && !isOfRepository(&p) {
			left = append(left, "pod "+p.Name)
		}
	}
	var claims corev1.PersistentVolumeClaimList
	if err := r.testbed.List(ctx, &claims, client.InNamespace(r.testbed.namespace)); err != nil {
		return nil, err
	}
	volumes, err := r.testbed.boundEver(ctx)
	if err != nil {
		return nil, err
	}
	there, marked := map[string]bool{}, map[string]bool{}
	for _, v := range volumes {
		marked[v.Name] = v.Labels[v1alpha1.LabelPrevious] != ""
	}
	for _, c := range claims.Items {
		there[c.Spec.VolumeName] = true
		kept := c.Labels[v1alpha1.LabelRestore] != "" && (c.Labels[v1alpha1.LabelPrevious] != "" || marked[c.Spec.VolumeName])
		if !used[c.Name] && !kept && !r.madeOnly(c.Name) && !isOfRepository(&c) {
			left = append(left, "claim "+c.Name)
		}
		if used[c.Name] && c.Labels[v1alpha1.LabelPrevious] != "" {
			left = append(left, "claim "+c.Name+", which is mounted and marked as previous")
		}
	}
	for _, v := range volumes {
		kept := v.Labels[v1alpha1.LabelPrevious] != "" && v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain
		if !there[v.Name] && !kept {
			left = append(left, fmt.Sprintf("volume %s, %s since %s", v.Name, v.Status.Phase, v.CreationTimestamp.Format(time.TimeOnly)))
		}
		if ref := v.Spec.ClaimRef; there[v.Name] && used[ref.Name] && (v.Labels[v1alpha1.LabelPrevious] != "" || v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete) {
			left = append(left, fmt.Sprintf("volume %s, which is in use and %s", v.Name, v.Spec.PersistentVolumeReclaimPolicy))
		}
	}
	return left, nil
}

// madeOnly is true for a claim that was all that a restore was to make.
func (r *restoreRun) madeOnly(claim string) bool {
	for _, v := range r.restores() {
		for _, c := range v.Status.Claims {
			if c.RestoredClaim == claim && v.Status.Strategy == v1alpha1.StrategyClaimsOnly {
				return true
			}
		}
	}
	return false
}
