package restore

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/limits"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

// resolveCheck is one look at whether a restore can do what is proposed.
type resolveCheck struct {
	name string
	// touching is true for a check of restores that touch an application.
	touching bool
	objects  func(*proposal) *v1alpha1.Problem
}

// The checks, in this order; the first that objects wins:
//
//	the backup is complete ─ the names are in it ─ its snapshots are ready ─
//	something is left to restore ─ the named claims are in it
//	  │
//	the strategy is possible ─ the application is there ─ it wasn't carried out before ─
//	the application isn't a Deployment's ─ it can be repointed ─ it stays ─ it is the one that was backed up ─
//	it keeps its claims ─ no autoscaler fights ─ no revision is let go ─
//	it mounts the claims
//	  │
//	  v   (the claims are worked out)
//	each has a place of its own ─ a class can make it ─ it can have paths ─
//	its snapshot can be cloned ─ its mode is right ─ it is large enough ─
//	its name is free ─ not too much is kept ─ what it replaces can be replaced ─ all of
//	them have room in the status
var outsetChecks = []resolveCheck{
	{name: "the backup is complete", objects: checkBackup},
	{name: "the selected claims are in the backup", objects: checkSelection},
	{name: "the snapshots are ready", objects: checkSnapshots},
	{name: "something is left to restore", objects: checkLeft},
	{name: "the named claims are in the backup", objects: checkNames},
	{name: "the strategy is possible", touching: true, objects: checkScalable},
	{name: "the application is there", touching: true, objects: checkTargetFound},
	{name: "it wasn't carried out before", touching: true, objects: checkAgain},
	{name: "the application isn't a Deployment's", touching: true, objects: checkOwner},
	{name: "the application can be repointed", touching: true, objects: checkRepoint},
	{name: "the application stays", touching: true, objects: checkStays},
	{name: "the application is the one that was backed up", touching: true, objects: checkSame},
	{name: "the application keeps its claims", touching: true, objects: checkKeepsClaims},
	{name: "no autoscaler fights", touching: true, objects: checkAutoscalers},
	{name: "no revision that is held back is let go", touching: true, objects: checkRevisions},
	{name: "the application mounts the claims", touching: true, objects: checkMounted},
}

var claimChecks = []resolveCheck{
	{name: "each claim has a place of its own", touching: true, objects: checkPlaces},
	{name: "a class can make each claim", objects: ofEach(checkClass)},
	{name: "each claim can have paths", objects: ofEach(checkPaths)},
	{name: "each snapshot can be cloned", objects: ofEach(checkClone)},
	{name: "each claim has the mode of its snapshot", objects: ofEach(checkMode)},
	{name: "each claim has room for its snapshot", objects: ofEach(checkSize)},
	{name: "each name is free", objects: ofEach(checkNewName)},
	{name: "not too much is kept", touching: true, objects: checkKept},
	{name: "each claim can be replaced", touching: true, objects: ofEach(checkReplaced)},
	{name: "all claims have room in the status", objects: checkRoom},
}

func (p *proposal) check(checks []resolveCheck) *v1alpha1.Problem {
	for _, c := range checks {
		if c.touching && !p.touches() {
			continue
		}
		if problem := c.objects(p); problem != nil {
			return problem
		}
	}
	return nil
}

// checkRoom sees that the status can be written, to the end of the restore: with an
// application that is stopped it is too late.
func checkRoom(p *proposal) *v1alpha1.Problem {
	alone := p.Restore.DeepCopy()
	alone.ManagedFields, alone.Status.Claims = nil, nil
	claims := limits.Bytes(p.res.Claims)
	why := fmt.Sprintf("%d claim(s) with their labels and annotations, which are made anew with the claims, take %d KiB of it", len(p.res.Claims), limits.KiB(claims))
	return limits.Object(limits.Bytes(alone)+claims+len(p.res.Claims)*limits.ClaimBytes, why,
		"Take off annotations of the claims that nobody needs, or restore fewer claims at once (spec.volumes.include)")
}

func ofEach(check func(*proposal, *v1alpha1.RestoredClaim) *v1alpha1.Problem) func(*proposal) *v1alpha1.Problem {
	return func(p *proposal) *v1alpha1.Problem {
		for i := range p.res.Claims {
			if problem := check(p, &p.res.Claims[i]); problem != nil {
				return problem
			}
		}
		return nil
	}
}

func checkBackup(p *proposal) *v1alpha1.Problem {
	b := p.Backup
	switch {
	case !b.DeletionTimestamp.IsZero():
		return v1alpha1.Problemf(v1alpha1.ReasonBackupIncomplete, "VolumeBackup %s is being deleted: restore from another", b.Name)
	case cut.IsWhole(b): // only its export isn't done
	case cut.IsOnlyExported(b): // only its snapshots aren't gone yet
	case !cut.Ended(b):
		return v1alpha1.PassingProblemf(v1alpha1.ReasonBackupIncomplete,
			"VolumeBackup %s is %s, not Completed: wait for it (kubectl wait --for=condition=Complete volumebackup/%s), or restore from another", b.Name, cmp.Or(string(b.Status.Phase), "new"), b.Name)
	case b.Status.Phase != v1alpha1.PhaseCompleted:
		return v1alpha1.Problemf(v1alpha1.ReasonBackupIncomplete,
			"VolumeBackup %s is %s and can't be restored from: restore from another (kubectl get volumebackup). It says: %.512s", b.Name, b.Status.Phase, b.Status.Message)
	case len(b.Status.Volumes) == 0:
		return v1alpha1.Problemf(v1alpha1.ReasonBackupIncomplete, "VolumeBackup %s holds no volume: restore from another", b.Name)
	}
	return nil
}

func checkSelection(p *proposal) *v1alpha1.Problem {
	sel := p.Restore.Spec.Volumes
	for _, name := range slices.Concat(sel.Include, sel.Exclude) {
		if !slices.Contains(p.held(), name) {
			return p.notHeld("spec.volumes", name)
		}
	}
	return nil
}

func checkNames(p *proposal) *v1alpha1.Problem {
	for name := range p.Restore.Spec.Target.Claims {
		if !slices.Contains(p.held(), name) {
			return p.notHeld("spec.target.claims", name)
		}
	}
	return nil
}

func (p *proposal) notHeld(field, claim string) *v1alpha1.Problem {
	return v1alpha1.Problemf(v1alpha1.ReasonClaimNotFound,
		"%s names claim %q, which %s doesn't hold: it holds %s", field, claim, p.source(), names.List(p.held()))
}

// checkSnapshots sees that each snapshot is there, is the one that was cut, and is
// ready: an empty volume is never a restore, nor is another one.
func checkSnapshots(p *proposal) *v1alpha1.Problem {
	if IsFromRepository(p.Restore) {
		return nil // they were found there
	}
	for _, v := range p.volumes {
		if problem := p.checkSnapshot(v); problem != nil {
			return problem
		}
	}
	return nil
}

func (p *proposal) checkSnapshot(v v1alpha1.VolumeStatus) *v1alpha1.Problem {
	snap := p.Snapshots[v.SnapshotName]
	if snap == nil || !snap.DeletionTimestamp.IsZero() {
		return v1alpha1.Problemf(v1alpha1.ReasonSnapshotNotFound,
			"VolumeSnapshot %q of claim %s is gone: restore from another backup, or leave the claim out by spec.volumes.exclude", v.SnapshotName, v.ClaimName)
	}
	content := p.Contents[cut.ContentName(snap)]
	if content == nil {
		return v1alpha1.Problemf(v1alpha1.ReasonSnapshotNotFound,
			"VolumeSnapshotContent %q of claim %s is gone, and the snapshot with it: restore from another backup, or leave the claim out by spec.volumes.exclude", cut.ContentName(snap), v.ClaimName)
	}
	if differs := cut.Recorded(&v).Differs(cut.IdentityOf(snap, content)); differs != "" {
		return v1alpha1.Problemf(v1alpha1.ReasonSnapshotReplaced,
			"VolumeSnapshot %q of claim %s isn't the one that was cut for VolumeBackup %s: %s. Somebody has put it in that one's place: restore from another backup, or leave the claim out by spec.volumes.exclude",
			v.SnapshotName, v.ClaimName, p.Backup.Name, differs)
	}
	if o := cut.Observe(snap, content); !o.Ready {
		complaint := ""
		if o.Error != "" {
			complaint = ". The driver says: " + o.Error
		}
		return v1alpha1.PassingProblemf(v1alpha1.ReasonSnapshotNotReady,
			"VolumeSnapshot %q of claim %s isn't ready to be restored: wait until it is, or restore from another backup%s", v.SnapshotName, v.ClaimName, complaint)
	}
	return nil
}

func checkLeft(p *proposal) *v1alpha1.Problem {
	if len(p.volumes) > 0 {
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonNoVolumes,
		"every claim of %s (%s) is excluded by spec.volumes: leave at least one", p.source(), names.List(p.held()))
}

func checkScalable(p *proposal) *v1alpha1.Problem {
	if kind := p.target().Kind; !workload.IsScalable(kind) {
		return v1alpha1.Problemf(v1alpha1.ReasonStrategyImpossible,
			"a %s can't be scaled to zero and back, so %s isn't possible: write strategy ClaimsOnly and put the claims to use by hand", kind, p.res.Strategy)
	}
	return nil
}

func checkTargetFound(p *proposal) *v1alpha1.Problem {
	if p.Workload != nil {
		return nil
	}
	return v1alpha1.PassingProblemf(v1alpha1.ReasonApplicationNotFound,
		"there is no %s %q in namespace %q: create it, name another in spec.target.applicationRef, or write strategy ClaimsOnly", p.target().Kind, p.target().Name, p.Restore.Namespace)
}

// checkOwner refuses a ReplicaSet of a Deployment, by whichever strategy.
func checkOwner(p *proposal) *v1alpha1.Problem {
	if owner, ok := isOwnedBy(&p.Workload.Meta, string(v1alpha1.KindDeployment)); ok {
		return v1alpha1.Problemf(v1alpha1.ReasonManagedByOther,
			"ReplicaSet %s belongs to Deployment %s, which would scale it up again: write that into spec.target.applicationRef", p.Workload.Ref.Name, owner)
	}
	return nil
}

func checkRepoint(p *proposal) *v1alpha1.Problem {
	w := p.Workload
	if p.res.Strategy != v1alpha1.StrategyRepoint {
		return nil
	}
	switch manager := ManagedBy(w.Meta); {
	case w.Ref.Kind == v1alpha1.KindStatefulSet:
		return v1alpha1.Problemf(v1alpha1.ReasonStrategyImpossible,
			"the claim templates of StatefulSet %s can't be changed, so it can't be repointed: write strategy Replace", w.Ref.Name)
	case manager != nil && manager.Certain:
		return v1alpha1.Problemf(v1alpha1.ReasonManagedByOther,
			"%s %s is managed by %s, which would undo a changed template: write strategy Replace. Or write ClaimsOnly, and in the manifest set %s",
			w.Ref.Kind, w.Ref.Name, manager, p.manifestChange())
	case w.HasHeldRollout:
		return v1alpha1.Problemf(v1alpha1.ReasonRolloutPaused,
			"the rollout of Deployment %s is paused and holds changes back, which a changed template would let go: write strategy Replace, or resume it first (kubectl rollout resume deployment/%s)", w.Ref.Name, w.Ref.Name)
	}
	return nil
}

// manifestChange is what a person would change in the manifest to repoint it.
func (p *proposal) manifestChange() string {
	var changes []string
	for _, claim := range p.held() {
		mounted, _ := p.mountedAs(v1alpha1.StrategyRepoint, claim)
		for _, volume := range p.Workload.TemplateVolumes(mounted) {
			changes = append(changes, fmt.Sprintf("spec.template.spec.volumes[name=%s].persistentVolumeClaim.claimName: %s", volume, p.newName(claim, mounted)))
		}
	}
	return strings.Join(changes, ", ")
}

func checkStays(p *proposal) *v1alpha1.Problem {
	return advised(stays(p.Workload), "Name another in spec.target.applicationRef, or write strategy ClaimsOnly")
}

func checkSame(p *proposal) *v1alpha1.Problem {
	w, uid := p.Workload, p.Backup.Status.ApplicationUID
	if uid == "" || uid == w.Meta.UID || p.Restore.Spec.Target.ApplicationRef != nil {
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonApplicationReplaced,
		"%s %s isn't the one that was backed up: it was made anew since. Write spec.target.applicationRef if it is to be restored all the same, or strategy ClaimsOnly", w.Ref.Kind, w.Ref.Name)
}

func checkKeepsClaims(p *proposal) *v1alpha1.Problem { return keepsClaims(p.Workload) }

func checkAutoscalers(p *proposal) *v1alpha1.Problem { return stepsAside(p.Workload, p.Autoscalers) }

func checkRevisions(p *proposal) *v1alpha1.Problem {
	return advised(checkRevision(p.Workload, p.Pods, p.res.Strategy), "Then restore again; or write strategy ClaimsOnly")
}

func checkMounted(p *proposal) *v1alpha1.Problem {
	w := p.Workload
	for _, v := range p.volumes {
		if _, ok := p.mountedAs(p.res.Strategy, v.ClaimName); ok {
			continue
		}
		return v1alpha1.Problemf(v1alpha1.ReasonClaimNotMounted,
			"%s holds claim %q, which %s %s doesn't mount: it mounts %s. Exclude it by spec.volumes.exclude, or write strategy ClaimsOnly",
			p.source(), p.wanted(p.res.Strategy, v.ClaimName), w.Ref.Kind, w.Ref.Name, names.List(p.mounted))
	}
	return nil
}

func checkPlaces(p *proposal) *v1alpha1.Problem {
	taken := map[string]bool{}
	for _, c := range p.res.Claims {
		if taken[c.PreviousClaim] {
			return v1alpha1.Problemf(v1alpha1.ReasonClaimNotMounted,
				"two claims of %s would take the place of claim %s: write spec.volumes.include or spec.target.claims", p.source(), c.PreviousClaim)
		}
		taken[c.PreviousClaim] = true
	}
	return nil
}

func checkClass(p *proposal, c *v1alpha1.RestoredClaim) *v1alpha1.Problem {
	name := ptr.Deref(c.Shape.StorageClassName, "")
	class := p.Classes[name]
	driver, of := "", ""
	if content := p.contentOf(c); content != nil && !isCopied(c) { // else it is made empty, by any
		driver = content.Spec.Driver
		of = fmt.Sprintf(" of the driver %q", driver)
	}
	switch {
	case name == "":
		return v1alpha1.Problemf(v1alpha1.ReasonNoStorageClass,
			"claim %s has no storage class that its volume can be made by: write one%s into spec.target.storageClassName", c.ClaimName, of)
	case class == nil:
		return v1alpha1.PassingProblemf(v1alpha1.ReasonNoStorageClass,
			"there is no StorageClass %q, which claim %s is to be made by: create it, or write another into spec.target.storageClassName", name, c.ClaimName)
	case driver != "" && class.Provisioner != driver:
		return v1alpha1.Problemf(v1alpha1.ReasonStorageMismatch,
			"StorageClass %q is of %q, the snapshot of claim %s is of the driver %q: write a class of that driver into spec.target.storageClassName", name, class.Provisioner, c.ClaimName, driver)
	}
	return nil
}

func checkMode(p *proposal, c *v1alpha1.RestoredClaim) *v1alpha1.Problem {
	if there := snapshotThere(p.Restore, c.ClaimName); there != nil {
		return checkModeThere(c, there)
	}
	content := p.contentOf(c)
	is, was := ptr.Deref(c.Shape.VolumeMode, corev1.PersistentVolumeFilesystem), ptr.Deref(content.Spec.SourceVolumeMode, "")
	if was == "" || is == was || content.Annotations[annotationAllowModeChange] == "true" {
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonVolumeModeMismatch,
		"claim %s has volumeMode %s now, its snapshot was taken of a volume of mode %s: make the claim with that mode, or have VolumeSnapshotContent %s annotated with %s: \"true\"", c.ClaimName, is, was, content.Name, annotationAllowModeChange)
}

// checkModeThere sees that files are written into a file system, and a device onto
// one.
func checkModeThere(c *v1alpha1.RestoredClaim, there *v1alpha1.RepositorySnapshot) *v1alpha1.Problem {
	is, was := ptr.Deref(c.Shape.VolumeMode, corev1.PersistentVolumeFilesystem), modeThere(there)
	if is == was {
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonVolumeModeMismatch,
		"claim %s has volumeMode %s now, and what is in the repository was a volume of mode %s: restore by strategy ClaimsOnly under another name (spec.target.claims), or make the claim with that mode", c.ClaimName, is, was)
}

func checkSize(p *proposal, c *v1alpha1.RestoredClaim) *v1alpha1.Problem {
	i := slices.IndexFunc(p.volumes, func(v v1alpha1.VolumeStatus) bool { return v.ClaimName == c.ClaimName })
	least := p.leastSize(p.volumes[i])
	switch {
	case c.Shape.Size.Sign() <= 0:
		return v1alpha1.Problemf(v1alpha1.ReasonSizeUnknown,
			"nothing tells how large a volume from the snapshot of claim %s has to be: the driver gives no restoreSize, and neither the claim nor the backup says what it was. Write a size into spec.target.size", c.ClaimName)
	case least != nil && !isCopied(c) && c.Shape.Size.Cmp(*least) < 0:
		return v1alpha1.Problemf(v1alpha1.ReasonSizeTooSmall,
			"spec.target.size is %s, and a volume from the snapshot of claim %s has to have %s at least: write no less, or leave it out", &c.Shape.Size, c.ClaimName, least)
	}
	return nil
}

func checkNewName(p *proposal, c *v1alpha1.RestoredClaim) *v1alpha1.Problem {
	if p.res.Strategy == v1alpha1.StrategyReplace {
		return nil
	}
	for _, other := range p.res.Claims {
		if other.ClaimName != c.ClaimName && other.RestoredClaim == c.RestoredClaim {
			return v1alpha1.Problemf(v1alpha1.ReasonClaimExists,
				"claims %s and %s of the backup would both be restored to a PersistentVolumeClaim %q: write a name of its own for each into spec.target.claims", c.ClaimName, other.ClaimName, c.RestoredClaim)
		}
	}
	if there := p.Claims[c.RestoredClaim]; there != nil && !madeBy(p.Restore, there) {
		return v1alpha1.Problemf(v1alpha1.ReasonClaimExists,
			"there is a PersistentVolumeClaim %q already: write another name for claim %s into spec.target.claims, or none to have one made up", c.RestoredClaim, c.ClaimName)
	}
	return nil
}

// checkReplaced refuses what would hold up the swap of the claims.
func checkReplaced(p *proposal, c *v1alpha1.RestoredClaim) *v1alpha1.Problem {
	if p.res.Strategy != v1alpha1.StrategyReplace {
		return nil
	}
	if problem := checkShared(p, c); problem != nil {
		return problem
	}
	_, others := workload.Partition(p.Pods, p.Workload.Owns)
	return checkReplaceable(c.PreviousClaim, p.Claims[c.PreviousClaim], others)
}
