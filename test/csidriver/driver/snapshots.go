package driver

import (
	"context"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lull-dev/lull/test/csidriver/disk"
	"github.com/lull-dev/lull/test/csidriver/fault"
)

// cutFaults are what a snapshot meets that is cut.
var cutFaults = []string{fault.Mode, fault.CopyDelay, fault.CutDelay, fault.ReturnDelay, fault.ReadyAfter, fault.Stamp}

// CreateSnapshot cuts a snapshot. Like a real back end it goes on when the
// caller has gone: the cut is then late, and a call that is made again finds it.
func (d *Driver) CreateSnapshot(_ context.Context, req *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if err := required("name", req.GetName(), "source_volume_id", req.GetSourceVolumeId()); err != nil {
		return nil, err
	}
	class, err := classFaults(req.GetParameters())
	if err != nil {
		return nil, err
	}
	id := idOf("snap", req.GetName())
	free, err := d.busy.take(id)
	if err != nil {
		return nil, err
	}
	defer free()
	if found, err := get(d.snapshots, id); !isNotFound(err) {
		return d.cutBefore(found, err, req)
	}
	source, err := get(d.volumes, req.GetSourceVolumeId())
	if err != nil {
		return nil, err
	}
	return d.cut(id, req.GetName(), source, class)
}

// cutBefore answers a call for a name that is taken.
func (d *Driver) cutBefore(found snapshot, err error, req *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if err != nil {
		return nil, err
	}
	if found.Volume != req.GetSourceVolumeId() {
		return nil, status.Errorf(codes.AlreadyExists, "snapshot %q exists, of volume %s", req.GetName(), found.Volume)
	}
	described, err := d.describeSnapshot(found)
	return &csi.CreateSnapshotResponse{Snapshot: described}, err
}

// cut copies the image, with whatever faults are asked for, and then writes the
// record: an image without one is cut anew.
func (d *Driver) cut(id, name string, source volume, class fault.Params) (*csi.CreateSnapshotResponse, error) {
	subject := fault.Subject{VolumeID: source.ID, VolumeName: source.Name, Name: name}
	if err := d.fail(fault.Error, subject, class); err != nil {
		return nil, err
	}
	met, err := d.Faults.Meet(subject, class, cutFaults...)
	if err != nil {
		return nil, err
	}
	before := time.Now()
	time.Sleep(met.Duration(fault.CutDelay))
	if err := d.copyImage(source, d.snapshots.Image(id), met); err != nil {
		return nil, err
	}
	made := stamped(snapshot{ID: id, Name: name, Volume: source.ID, Block: source.Block}, before, time.Now(), met)
	if err := d.snapshots.Put(id, made); err != nil {
		return nil, err
	}
	time.Sleep(met.Duration(fault.ReturnDelay))
	described, err := d.describeSnapshot(made)
	return &csi.CreateSnapshotResponse{Snapshot: described}, err
}

func (d *Driver) copyImage(source volume, target string, met fault.Params) error {
	image, pause := d.volumes.Image(source.ID), met.Duration(fault.CopyDelay)
	switch {
	case !copying(met):
		return disk.Clone(image, target)
	case source.Block:
		return disk.CopyBytes(image, target, pause)
	}
	return d.pool.CopyFiles(image, target, pause)
}

func copying(met fault.Params) bool { return met[fault.Mode] == "copying" }

func stamped(s snapshot, before, after time.Time, met fault.Params) snapshot {
	s.Stamp = after
	if met[fault.Stamp] == "before" {
		s.Stamp = before
	}
	s.ReadyAt = after.Add(met.Duration(fault.ReadyAfter))
	s.Never = met.Never()
	return s
}

func (s snapshot) ready(now time.Time) bool { return !s.Never && !now.Before(s.ReadyAt) }

func (d *Driver) describeSnapshot(s snapshot) (*csi.Snapshot, error) {
	size, err := disk.Size(d.snapshots.Image(s.ID))
	if err != nil {
		return nil, err
	}
	return &csi.Snapshot{
		SnapshotId:     s.ID,
		SourceVolumeId: s.Volume,
		SizeBytes:      size,
		CreationTime:   timestamppb.New(s.Stamp),
		ReadyToUse:     s.ready(time.Now()),

		GroupSnapshotId: s.Group,
	}, nil
}

// DeleteSnapshot removes the copy. Volumes made from it are copies of their own.
// One that was cut in a group goes with the group only.
func (d *Driver) DeleteSnapshot(_ context.Context, req *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	id := req.GetSnapshotId()
	if err := required("snapshot_id", id); err != nil {
		return nil, err
	}
	free, err := d.busy.take(id)
	if err != nil {
		return nil, err
	}
	defer free()
	found, err := get(d.snapshots, id)
	if isNotFound(err) {
		return &csi.DeleteSnapshotResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	if found.Group != "" {
		return nil, status.Errorf(codes.InvalidArgument, "snapshot %s is part of group %s: delete that", id, found.Group)
	}
	return &csi.DeleteSnapshotResponse{}, d.snapshots.Delete(id)
}
