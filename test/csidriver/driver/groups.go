package driver

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lull-dev/lull/test/csidriver/fault"
)

// CreateVolumeGroupSnapshot cuts snapshots of several volumes at one instant. As
// CreateSnapshot does, it goes on when the caller has gone.
func (d *Driver) CreateVolumeGroupSnapshot(_ context.Context, req *csi.CreateVolumeGroupSnapshotRequest) (*csi.CreateVolumeGroupSnapshotResponse, error) {
	if err := required("name", req.GetName()); err != nil {
		return nil, err
	}
	asked := group{ID: idOf("group", req.GetName()), Name: req.GetName(), Volumes: sortedSet(req.GetSourceVolumeIds())}
	if len(asked.Volumes) == 0 || len(asked.Volumes) != len(req.GetSourceVolumeIds()) {
		return nil, status.Error(codes.InvalidArgument, "source_volume_ids is empty, or names a volume twice")
	}
	class, err := classFaults(req.GetParameters())
	if err != nil {
		return nil, err
	}
	free, err := d.busy.take(asked.ID)
	if err != nil {
		return nil, err
	}
	defer free()
	found, err := get(d.groups, asked.ID)
	if isNotFound(err) {
		found, err = asked, d.cutGroup(asked, class)
	}
	if err != nil {
		return nil, err
	}
	if !slices.Equal(found.Volumes, asked.Volumes) {
		return nil, status.Errorf(codes.AlreadyExists, "group %q exists, of volumes %v", found.Name, found.Volumes)
	}
	described, err := d.describeGroup(found)
	return &csi.CreateVolumeGroupSnapshotResponse{GroupSnapshot: described}, err
}

// member is one snapshot of a group that is being cut.
type member struct {
	id     string
	source volume
	met    fault.Params
}

// cutGroup copies the images, with whatever faults are asked for, then writes
// the members' records, and the group's when all are there.
func (d *Driver) cutGroup(g group, class fault.Params) error {
	members, err := d.meetGroup(g, class)
	if err != nil {
		return err
	}
	before := time.Now()
	time.Sleep(longest(members, fault.CutDelay))
	if err := d.copyImages(g, members); err != nil {
		return errors.Join(err, d.discard(members))
	}
	if err := d.recordGroup(g, members, before, time.Now()); err != nil {
		return errors.Join(err, d.discard(members))
	}
	time.Sleep(longest(members, fault.ReturnDelay))
	return nil
}

// meetGroup returns the members with the faults that each meets. All of them
// meet theirs before one's error ends the call, so that what counts calls counts
// this one for each.
func (d *Driver) meetGroup(g group, class fault.Params) ([]member, error) {
	var members []member
	for _, id := range g.Volumes {
		source, err := get(d.volumes, id)
		if err != nil {
			return nil, err
		}
		members = append(members, member{id: memberID(g.ID, id), source: source})
	}
	var failures []error
	for _, m := range members {
		if err := d.fail(fault.Error, m.subject(g), class); err != nil {
			failures = append(failures, err)
		}
	}
	if len(failures) > 0 {
		return nil, failures[0] // joined, they would have no code
	}
	for i, m := range members {
		var err error
		if members[i].met, err = d.Faults.Meet(m.subject(g), class, cutFaults...); err != nil {
			return nil, err
		}
	}
	return members, nil
}

func (m member) subject(g group) fault.Subject {
	return fault.Subject{VolumeID: m.source.ID, VolumeName: m.source.Name, Name: g.Name}
}

func longest(members []member, key string) time.Duration {
	var most time.Duration
	for _, m := range members {
		most = max(most, m.met.Duration(key))
	}
	return most
}

// copyImages cuts all members at one instant, but for those that are asked to be
// copied slowly: those follow one after another.
func (d *Driver) copyImages(g group, members []member) error {
	together := map[string]string{}
	for _, m := range members {
		if !copying(m.met) {
			together[d.volumes.Image(m.source.ID)] = d.snapshots.Image(m.id)
		}
	}
	if len(together) > 0 {
		if err := d.pool.CloneTogether(g.ID, together); err != nil {
			return err
		}
	}
	for _, m := range members {
		if copying(m.met) {
			if err := d.copyImage(m.source, d.snapshots.Image(m.id), m.met); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Driver) recordGroup(g group, members []member, before, after time.Time) error {
	for _, m := range members {
		made := snapshot{ID: m.id, Name: g.Name, Volume: m.source.ID, Group: g.ID, Block: m.source.Block}
		if err := d.snapshots.Put(m.id, stamped(made, before, after, m.met)); err != nil {
			return err
		}
	}
	return d.groups.Put(g.ID, g)
}

// discard removes what was made of members whose group didn't come about.
func (d *Driver) discard(members []member) error {
	var errs []error
	for _, m := range members {
		errs = append(errs, d.snapshots.Delete(m.id))
	}
	return errors.Join(errs...)
}

// memberID makes an id that no snapshot of its own can have: names hold no NUL.
func memberID(groupID, volumeID string) string { return idOf("snap", groupID+"\x00"+volumeID) }

func (d *Driver) describeGroup(g group) (*csi.VolumeGroupSnapshot, error) {
	described := &csi.VolumeGroupSnapshot{GroupSnapshotId: g.ID, ReadyToUse: true}
	var first time.Time
	for _, volumeID := range g.Volumes {
		found, err := get(d.snapshots, memberID(g.ID, volumeID))
		if err != nil {
			return nil, err
		}
		s, err := d.describeSnapshot(found)
		if err != nil {
			return nil, err
		}
		if first.IsZero() || found.Stamp.Before(first) {
			first = found.Stamp
		}
		described.Snapshots = append(described.Snapshots, s)
		described.ReadyToUse = described.ReadyToUse && s.GetReadyToUse()
	}
	described.CreationTime = timestamppb.New(first)
	return described, nil
}

// GetVolumeGroupSnapshot tells of a group as it is now.
func (d *Driver) GetVolumeGroupSnapshot(_ context.Context, req *csi.GetVolumeGroupSnapshotRequest) (*csi.GetVolumeGroupSnapshotResponse, error) {
	if err := required("group_snapshot_id", req.GetGroupSnapshotId()); err != nil {
		return nil, err
	}
	found, err := get(d.groups, req.GetGroupSnapshotId())
	if err != nil {
		return nil, err
	}
	if err := found.checkMembers(req.GetSnapshotIds()); err != nil {
		return nil, err
	}
	described, err := d.describeGroup(found)
	return &csi.GetVolumeGroupSnapshotResponse{GroupSnapshot: described}, err
}

// checkMembers refuses a list of snapshots that isn't the group's.
func (g group) checkMembers(snapshotIDs []string) error {
	var members []string
	for _, volumeID := range g.Volumes {
		members = append(members, memberID(g.ID, volumeID))
	}
	if !slices.Equal(sortedSet(snapshotIDs), sortedSet(members)) {
		return status.Errorf(codes.InvalidArgument, "the snapshots of group %s are %v, not %v", g.ID, members, snapshotIDs)
	}
	return nil
}

// DeleteVolumeGroupSnapshot removes the group's record first: members without it
// are nobody's, and go when the caller comes again, or at the next start.
func (d *Driver) DeleteVolumeGroupSnapshot(_ context.Context, req *csi.DeleteVolumeGroupSnapshotRequest) (*csi.DeleteVolumeGroupSnapshotResponse, error) {
	id := req.GetGroupSnapshotId()
	if err := required("group_snapshot_id", id); err != nil {
		return nil, err
	}
	free, err := d.busy.take(id)
	if err != nil {
		return nil, err
	}
	defer free()
	found, err := get(d.groups, id)
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	if err == nil {
		if err := found.checkMembers(req.GetSnapshotIds()); err != nil {
			return nil, err
		}
		if err := d.groups.Delete(id); err != nil {
			return nil, err
		}
	}
	return &csi.DeleteVolumeGroupSnapshotResponse{}, d.deleteMembers(func(group string) (bool, error) { return group == id, nil })
}

// endHalfGroups deletes snapshots whose group isn't there: a killed process was
// making it, or deleting it.
func (d *Driver) endHalfGroups() error {
	return d.deleteMembers(func(group string) (bool, error) {
		_, err := get(d.groups, group)
		if isNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

// deleteMembers deletes the snapshots that were cut in such groups.
func (d *Driver) deleteMembers(of func(group string) (bool, error)) error {
	all, err := d.snapshots.List()
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.Group == "" {
			continue
		}
		gone, err := of(s.Group)
		if err != nil {
			return err
		}
		if !gone {
			continue
		}
		if err := d.snapshots.Delete(s.ID); err != nil {
			return err
		}
	}
	return nil
}

func sortedSet(values []string) []string { return slices.Compact(slices.Sorted(slices.Values(values))) }
