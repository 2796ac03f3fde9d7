package driver

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lull-dev/lull/test/csidriver/disk"
)

// ControllerExpandVolume enlarges the disk; the node then enlarges what is on it.
func (d *Driver) ControllerExpandVolume(_ context.Context, req *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	id := req.GetVolumeId()
	if err := required("volume_id", id); err != nil {
		return nil, err
	}
	if req.GetCapacityRange() == nil {
		return nil, status.Error(codes.InvalidArgument, "capacity_range is missing")
	}
	free, err := d.busy.take(id)
	if err != nil {
		return nil, err
	}
	defer free()
	if _, err := get(d.volumes, id); err != nil {
		return nil, err
	}
	size, err := d.grow(d.volumes.Image(id), req.GetCapacityRange())
	if err != nil {
		return nil, err
	}
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: size, NodeExpansionRequired: true}, nil
}

func (d *Driver) grow(image string, asked *csi.CapacityRange) (int64, error) {
	now, err := disk.Size(image)
	if err != nil {
		return 0, err
	}
	size, err := sizeFor(asked, now)
	if err != nil {
		return 0, err
	}
	if err := d.checkRoom(size - now); err != nil {
		return 0, err
	}
	return size, disk.Grow(image, size)
}

// NodeExpandVolume enlarges the device to its image, and the file system to it.
func (d *Driver) NodeExpandVolume(_ context.Context, req *csi.NodeExpandVolumeRequest) (*csi.NodeExpandVolumeResponse, error) {
	id := req.GetVolumeId()
	info, err := d.statVolume(id, req.GetVolumePath())
	if err != nil {
		return nil, err
	}
	free, err := d.busy.take(id)
	if err != nil {
		return nil, err
	}
	defer free()
	image := d.volumes.Image(id)
	device, err := disk.Attach(image)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		if err := disk.GrowMounted(device); err != nil {
			return nil, err
		}
	}
	size, err := disk.Size(image)
	return &csi.NodeExpandVolumeResponse{CapacityBytes: size}, err
}
