package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"golang.org/x/sync/errgroup"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/names"
)

// groupCutter has all volumes cut at one instant by one VolumeGroupSnapshot.
// After the cut the snapshot controller makes a VolumeSnapshot of each.
type groupCutter struct {
	*run
	// class of the group and handles, what the driver calls the volumes by their
	// claims, are there until the cut.
	class   string
	handles map[string]string
	// nonce marks the group. It is there until the cut.
	nonce string
	// uid of the group that was seen: one of the same name made anew isn't it.
	uid types.UID
}

func (c *groupCutter) name() string { return c.Status.Quiesce.GroupSnapshotName }

func (c *groupCutter) keys() []waitKey {
	return []waitKey{{namespace: c.Namespace, name: c.name()}}
}

// prepare marks the claims of the group, which selects its volumes by that. The
// label stays: a group of another name never selects it, and to take it away
// would be one more thing to forget.
func (c *groupCutter) prepare(ctx context.Context) error {
	mark, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{v1alpha1.LabelGroup: c.name()}}})
	if err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	for _, v := range c.Status.Volumes {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: v.ClaimName}}
		all.Go(func() error { return c.Patch(ctx, claim, client.RawPatch(types.MergePatchType, mark)) })
	}
	return all.Wait()
}

func (c *groupCutter) create(ctx context.Context) error {
	u := c.groups.object(kindGroup)
	u.SetNamespace(c.Namespace)
	u.SetName(c.name())
	u.SetLabels(labelsOf(c.VolumeBackup))
	u.SetAnnotations(map[string]string{annotationBackup: c.Name})
	u.Object["spec"] = map[string]any{
		"volumeGroupSnapshotClassName": c.class,
		"source":                       map[string]any{"selector": map[string]any{"matchLabels": map[string]any{v1alpha1.LabelGroup: c.name()}}},
	}
	var err error
	if c.uid, err = c.make(ctx, c.nonce, u, c.groups.object(kindGroup)); err != nil {
		return fmt.Errorf("%s %s could not be created: %w", kindGroup, c.name(), err)
	}
	return nil
}

// observe reads the group. The group itself shows the cut only after all that is
// made of it; its content does at once.
func (c *groupCutter) observe(ctx context.Context, from client.Reader) (map[string]cut.Observed, error) {
	group, err := c.group(ctx, from)
	if err != nil || group == nil {
		return nil, err
	}
	content, err := c.groups.content(ctx, from, group)
	if err != nil {
		return nil, err
	}
	c.uid = group.UID
	return cut.ObserveGroup(group, content, c.handles), nil
}

// group is the group of the attempt, nil where it isn't there.
func (c *groupCutter) group(ctx context.Context, from client.Reader) (*cut.Group, error) {
	group, err := c.groups.group(ctx, from, client.ObjectKey{Namespace: c.Namespace, Name: c.name()})
	if err != nil || group == nil || !c.isOwn(group) {
		return nil, err
	}
	return group, nil
}

// isOwn is true for the group that was seen or, before one was, for one that looks like
// it. Anybody who may write it can take its label away.
func (c *groupCutter) isOwn(group *cut.Group) bool {
	if c.uid != "" {
		return group.UID == c.uid
	}
	return group.Labels[v1alpha1.LabelBackupUID] == string(c.UID)
}

// settle marks the snapshots that the snapshot controller has made of the group
// as the backup's, and waits until the group is ready: before, the controller
// writes them anew again and again, as unready.
func (c *groupCutter) settle(ctx context.Context) (settled, error) {
	if !c.groups.served() {
		return settled{waits: noGroups}, nil
	}
	group, err := c.group(ctx, c.Live)
	if err != nil {
		return settled{}, err
	}
	if group == nil || !group.DeletionTimestamp.IsZero() {
		return settled{lost: fmt.Sprintf("%s %s was deleted before its snapshots were ready", kindGroup, c.name())}, nil
	}
	found, err := c.adopt(ctx, group)
	if err != nil {
		return settled{}, err
	}
	return settled{names: found, waits: c.waits(group, found)}, nil
}

// waits says what the group lacks, empty where it is ready.
func (c *groupCutter) waits(group *cut.Group, found map[string]string) string {
	all := !slices.ContainsFunc(c.Status.Volumes, func(v v1alpha1.VolumeStatus) bool { return v.SnapshotName == "" && found[v.ClaimName] == "" })
	if all && group.Status.ReadyToUse {
		return ""
	}
	waits := "waits until the snapshot controller has made the snapshots of " + kindGroup + " " + group.Name
	if all {
		waits = "waits until " + kindGroup + " " + group.Name + " is ready"
	}
	if failure := group.Status.Error; failure != nil {
		waits += ": " + ptr.Deref(failure.Message, "it gives no reason for its error")
	}
	return waits
}

// adopt marks the snapshots of the group that the status doesn't name yet, and
// has their names by their claims. One whose copy isn't the one that was seen cut
// isn't adopted.
func (c *groupCutter) adopt(ctx context.Context, group *cut.Group) (map[string]string, error) {
	found := map[string]string{}
	if !slices.ContainsFunc(c.Status.Volumes, func(v v1alpha1.VolumeStatus) bool { return v.SnapshotName == "" }) {
		return found, nil
	}
	var there snapshotv1.VolumeSnapshotList
	if err := c.Live.List(ctx, &there, client.InNamespace(c.Namespace)); err != nil {
		return nil, err
	}
	content, err := c.groups.content(ctx, c.Live, group)
	if err != nil {
		return nil, err
	}
	members, err := c.membersAmong(ctx, claimantsOf(there.Items, group.UID), content)
	if err != nil {
		return nil, err
	}
	for i := range c.Status.Volumes {
		v := &c.Status.Volumes[i]
		m := memberOf(members, v)
		if m == nil {
			continue
		}
		if err := c.adoptMember(ctx, m, v.ClaimName); err != nil {
			return nil, err
		}
		found[v.ClaimName] = m.Name
	}
	return found, nil
}

// memberOf is the member of a group that is of a volume, nil where it isn't made, or
// its content doesn't say yet what copy it is.
func memberOf(members []member, v *v1alpha1.VolumeStatus) *snapshotv1.VolumeSnapshot {
	for _, m := range members {
		is := cut.IdentityOf(m.VolumeSnapshot, m.content)
		isOfClaim := ptr.Deref(m.Spec.Source.PersistentVolumeClaimName, "") == v.ClaimName
		if isOfClaim && is.Handle != "" && cut.Recorded(v).Differs(is) == "" {
			return m.VolumeSnapshot
		}
	}
	return nil
}

func (c *groupCutter) adoptMember(ctx context.Context, snap *snapshotv1.VolumeSnapshot, claim string) error {
	if snap.Labels[v1alpha1.LabelBackupUID] == string(c.UID) {
		return nil
	}
	base := snap.DeepCopy()
	for key, value := range labelsOf(c.VolumeBackup) {
		metav1.SetMetaDataLabel(&snap.ObjectMeta, key, value)
	}
	metav1.SetMetaDataLabel(&snap.ObjectMeta, v1alpha1.LabelClaim, names.LabelValue(claim))
	metav1.SetMetaDataAnnotation(&snap.ObjectMeta, annotationBackup, c.Name)
	return c.Patch(ctx, snap, ofSameUID(base))
}

// claimantsOf are the snapshots that name a group as their owner. The snapshot
// controller writes that on each that it makes of the group, before anything else,
// and anybody can write it on any other.
func claimantsOf(there []snapshotv1.VolumeSnapshot, group types.UID) []snapshotv1.VolumeSnapshot {
	return slices.DeleteFunc(there, func(snap snapshotv1.VolumeSnapshot) bool {
		return !slices.ContainsFunc(snap.OwnerReferences, func(o metav1.OwnerReference) bool {
			return o.UID == group && o.Kind == kindGroup && strings.HasPrefix(o.APIVersion, cut.GroupAPI+"/")
		})
	})
}

// member is a snapshot of a group, with its content.
type member struct {
	*snapshotv1.VolumeSnapshot
	content *snapshotv1.VolumeSnapshotContent
}

// membersAmong are those of the snapshots that are of a group by their contents'
// word. group is the group's content, nil where there is none.
func (w *run) membersAmong(ctx context.Context, claimants []snapshotv1.VolumeSnapshot, group *cut.GroupContent) ([]member, error) {
	if group == nil || group.Status.VolumeGroupSnapshotHandle == "" {
		return nil, nil
	}
	var members []member
	for i := range claimants {
		snap := &claimants[i]
		content, handle, err := w.contentInGroup(ctx, snap)
		if err != nil {
			return nil, err
		}
		if handle == group.Status.VolumeGroupSnapshotHandle {
			members = append(members, member{VolumeSnapshot: snap, content: content})
		}
	}
	return members, nil
}

// contentInGroup is the content of a snapshot, nil where it has none of its own, and
// the handle of the group that it is of, empty where it is of none. No type of ours
// has that handle.
func (w *run) contentInGroup(ctx context.Context, snap *snapshotv1.VolumeSnapshot) (_ *snapshotv1.VolumeSnapshotContent, handle string, err error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(snapshotv1.SchemeGroupVersion.WithKind("VolumeSnapshotContent"))
	if err := w.Live.Get(ctx, client.ObjectKey{Name: cut.ContentName(snap)}, u); err != nil {
		return nil, "", client.IgnoreNotFound(err)
	}
	content := &snapshotv1.VolumeSnapshotContent{}
	if err := into(u, content); err != nil {
		return nil, "", err
	}
	if !isOf(content, snap) {
		return nil, "", nil
	}
	handle, _, err = unstructured.NestedString(u.Object, "status", "volumeGroupSnapshotHandle")
	return content, handle, err
}
