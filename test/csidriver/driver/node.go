package driver

import (
	"context"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lull-dev/lull/test/csidriver/disk"
)

// NodeGetInfo names the node, and where its volumes can be reached.
func (d *Driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.config.NodeID, AccessibleTopology: d.topology()}, nil
}

// NodeGetVolumeStats tells bytes and inodes, or the size where it is used raw.
func (d *Driver) NodeGetVolumeStats(_ context.Context, req *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	id, path := req.GetVolumeId(), req.GetVolumePath()
	info, err := d.statVolume(id, path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		size, err := disk.Size(d.volumes.Image(id))
		whole := &csi.VolumeUsage{Unit: csi.VolumeUsage_BYTES, Total: size}
		return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{whole}}, err
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return nil, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
		usage(csi.VolumeUsage_BYTES, stat.Blocks, stat.Bfree, stat.Bavail, stat.Bsize),
		usage(csi.VolumeUsage_INODES, stat.Files, stat.Ffree, stat.Ffree, 1),
	}}, nil
}

// statVolume returns what is at the path where a volume should be.
func (d *Driver) statVolume(id, path string) (os.FileInfo, error) {
	if err := required("volume_id", id, "volume_path", path); err != nil {
		return nil, err
	}
	if _, err := get(d.volumes, id); err != nil {
		return nil, err
	}
	mounted, err := disk.Mounted(path)
	if err != nil {
		return nil, err
	}
	if !mounted {
		return nil, status.Errorf(codes.NotFound, "no volume is mounted at %s", path)
	}
	return os.Stat(path)
}

func usage(unit csi.VolumeUsage_Unit, total, free, available uint64, size int64) *csi.VolumeUsage {
	return &csi.VolumeUsage{
		Unit:      unit,
		Total:     int64(total) * size,
		Used:      int64(total-free) * size,
		Available: int64(available) * size,
	}
}
