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
	if err := c.make(ctx, u, c.groups.object(kindGroup)); err != nil {
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
	if err != nil || group == nil || group.Labels[v1alpha1.LabelBackupUID] != string(c.UID) || c.uid != "" && c.uid != group.UID {
		return nil, err
	}
	return group, nil
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
// has their names by their claims.
func (c *groupCutter) adopt(ctx context.Context, group *cut.Group) (map[string]string, error) {
	found := map[string]string{}
	if !slices.ContainsFunc(c.Status.Volumes, func(v v1alpha1.VolumeStatus) bool { return v.SnapshotName == "" }) {
		return found, nil
	}
	var there snapshotv1.VolumeSnapshotList
	if err := c.Live.List(ctx, &there, client.InNamespace(c.Namespace)); err != nil {
		return nil, err
	}
	members := membersOf(there.Items, group.UID)
	for _, v := range c.Status.Volumes {
		i := slices.IndexFunc(members, func(m snapshotv1.VolumeSnapshot) bool {
			return ptr.Deref(m.Spec.Source.PersistentVolumeClaimName, "") == v.ClaimName
		})
		if i < 0 {
			continue
		}
		if err := c.adoptMember(ctx, &members[i], v.ClaimName); err != nil {
			return nil, err
		}
		found[v.ClaimName] = members[i].Name
	}
	return found, nil
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
	return c.Patch(ctx, snap, client.MergeFrom(base))
}

func membersOf(there []snapshotv1.VolumeSnapshot, group types.UID) []snapshotv1.VolumeSnapshot {
	return slices.DeleteFunc(there, func(snap snapshotv1.VolumeSnapshot) bool {
		owner := groupOf(&snap)
		return owner == nil || owner.UID != group
	})
}

// groupOf is the group that a snapshot belongs to, nil where it was made alone.
// The snapshot controller keeps its members until the group itself goes.
func groupOf(snap *snapshotv1.VolumeSnapshot) *metav1.OwnerReference {
	for i, o := range snap.OwnerReferences {
		if o.Kind == kindGroup && strings.HasPrefix(o.APIVersion, cut.GroupAPI+"/") {
			return &snap.OwnerReferences[i]
		}
	}
	return nil
}
