package driver

import (
	"context"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lull-dev/lull/test/csidriver/disk"
)

// NodePublishVolume shows a staged volume to a pod: the mounted folder, or the
// device node where it is used raw.
func (d *Driver) NodePublishVolume(_ context.Context, req *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	id, target := req.GetVolumeId(), req.GetTargetPath()
	if err := required("volume_id", id, "target_path", target, "staging_target_path", req.GetStagingTargetPath()); err != nil {
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
	if _, err := get(d.volumes, id); err != nil {
		return nil, err
	}
	device, err := disk.Attach(d.volumes.Image(id))
	if err != nil {
		return nil, err
	}
	return &csi.NodePublishVolumeResponse{}, publish(device, req)
}

func publish(device string, req *csi.NodePublishVolumeRequest) error {
	staging, target := req.GetStagingTargetPath(), req.GetTargetPath()
	points, err := disk.MountsOf(device)
	if err != nil || slices.Contains(points, target) {
		return err
	}
	if err := checkSingleWriter(points, req); err != nil {
		return err
	}
	var options []string
	if req.GetReadonly() || readOnly(req.GetVolumeCapability()) {
		options = append(options, "ro")
	}
	if req.GetVolumeCapability().GetBlock() != nil {
		return disk.Bind(device, target, options)
	}
	if !slices.Contains(points, staging) {
		return status.Errorf(codes.FailedPrecondition, "volume %s is not staged at %s", req.GetVolumeId(), staging)
	}
	return disk.Bind(staging, target, options)
}

// checkSingleWriter keeps a volume that is for one pod to one target path.
func checkSingleWriter(points []string, req *csi.NodePublishVolumeRequest) error {
	if req.GetVolumeCapability().GetAccessMode().GetMode() != csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER {
		return nil
	}
	for _, point := range points {
		if point != req.GetStagingTargetPath() {
			return status.Errorf(codes.FailedPrecondition, "volume %s is for one writer, and published at %s", req.GetVolumeId(), point)
		}
	}
	return nil
}

// NodeUnpublishVolume takes the volume away from the pod.
func (d *Driver) NodeUnpublishVolume(_ context.Context, req *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	id, target := req.GetVolumeId(), req.GetTargetPath()
	if err := required("volume_id", id, "target_path", target); err != nil {
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
	return &csi.NodeUnpublishVolumeResponse{}, disk.UnmountAndRemove(target)
}
