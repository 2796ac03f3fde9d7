package driver

import (
	"context"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lull-dev/lull/test/csidriver/disk"
	"github.com/lull-dev/lull/test/csidriver/fault"
)

// NodeStageVolume attaches the volume to a loop device and, unless it is used
// raw, mounts it.
func (d *Driver) NodeStageVolume(_ context.Context, req *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	id, path := req.GetVolumeId(), req.GetStagingTargetPath()
	if err := required("volume_id", id, "staging_target_path", path); err != nil {
		return nil, err
	}
	if err := checkCapabilities(req.GetVolumeCapability()); err != nil {
		return nil, err
	}
	free, err := d.busy.take(id)
	if err != nil {
		return nil, err
	}
	defer free()
	found, err := get(d.volumes, id)
	if err != nil {
		return nil, err
	}
	subject := fault.Subject{VolumeID: id, VolumeName: found.Name}
	if err := d.fail(fault.StageError, subject, fault.Known(req.GetVolumeContext())); err != nil {
		return nil, err
	}
	device, err := disk.Attach(d.volumes.Image(id))
	if err != nil || req.GetVolumeCapability().GetBlock() != nil {
		return &csi.NodeStageVolumeResponse{}, err
	}
	return &csi.NodeStageVolumeResponse{}, stage(device, path, req.GetVolumeCapability())
}

// stage mounts the device. The device itself is always writable, so that ext4
// can replay the journal of a copy also where it is mounted read-only.
func stage(device, path string, capability *csi.VolumeCapability) error {
	points, err := disk.MountsOf(device)
	if err != nil || slices.Contains(points, path) {
		return err
	}
	options := slices.Clone(capability.GetMount().GetMountFlags())
	if readOnly(capability) {
		options = append(options, "ro")
	}
	if len(points) == 0 {
		// Growing while mounted takes a capability that not every machine gives.
		if err := disk.GrowUnmounted(device); err != nil {
			return err
		}
	}
	return disk.Mount(device, path, "ext4", options)
}

// NodeUnstageVolume undoes NodeStageVolume.
func (d *Driver) NodeUnstageVolume(_ context.Context, req *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	id, path := req.GetVolumeId(), req.GetStagingTargetPath()
	if err := required("volume_id", id, "staging_target_path", path); err != nil {
		return nil, err
	}
	free, err := d.busy.take(id)
	if err != nil {
		return nil, err
	}
	defer free()
	if _, err := get(d.volumes, id); err != nil {
		return nil, err
	}
	device, err := disk.Device(d.volumes.Image(id))
	if err != nil || device == "" {
		return &csi.NodeUnstageVolumeResponse{}, err
	}
	return &csi.NodeUnstageVolumeResponse{}, unstage(device, path)
}

// unstage refuses while a pod still has the volume: the caller unpublishes first.
func unstage(device, path string) error {
	points, err := disk.MountsOf(device)
	if err != nil {
		return err
	}
	for _, point := range points {
		if point != path {
			return status.Errorf(codes.FailedPrecondition, "%s is still mounted at %s", device, point)
		}
	}
	return disk.Pull(device)
}
