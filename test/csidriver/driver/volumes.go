package driver

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lull-dev/lull/test/csidriver/disk"
	"github.com/lull-dev/lull/test/csidriver/fault"
)

// CreateVolume makes a volume from nothing, a snapshot or another volume. Like
// a real back end it goes on when the caller has gone, and a call that is made
// again finds the volume.
func (d *Driver) CreateVolume(_ context.Context, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	params, err := d.checkCreate(req)
	if err != nil {
		return nil, err
	}
	id := idOf("vol", req.GetName())
	free, err := d.busy.take(id)
	if err != nil {
		return nil, err
	}
	defer free()
	if found, err := get(d.volumes, id); !isNotFound(err) {
		return d.createdBefore(found, err, req)
	}
	if err := d.createFaults(id, req.GetName(), params); err != nil {
		return nil, err
	}
	return d.makeVolume(id, params, req)
}

func (d *Driver) checkCreate(req *csi.CreateVolumeRequest) (fault.Params, error) {
	if err := required("name", req.GetName()); err != nil {
		return nil, err
	}
	if err := checkCapabilities(req.GetVolumeCapabilities()...); err != nil {
		return nil, err
	}
	if !d.reachable(req.GetAccessibilityRequirements()) {
		return nil, status.Errorf(codes.ResourceExhausted, "volumes are on node %s only", d.config.NodeID)
	}
	return classFaults(req.GetParameters())
}

func (d *Driver) reachable(asked *csi.TopologyRequirement) bool {
	return len(asked.GetRequisite()) == 0 || slices.ContainsFunc(asked.GetRequisite(), d.here)
}

// here tells whether the topology is our node's.
func (d *Driver) here(t *csi.Topology) bool {
	node, ok := t.GetSegments()[d.topologyKey()]
	return !ok || node == d.config.NodeID
}

// createdBefore answers a call for a name that is taken.
func (d *Driver) createdBefore(found volume, err error, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if err != nil {
		return nil, err
	}
	size, err := disk.Size(d.volumes.Image(found.ID))
	if err != nil {
		return nil, err
	}
	if !fits(req.GetCapacityRange(), size) || found.Source != sourceID(req.GetVolumeContentSource()) {
		return nil, status.Errorf(codes.AlreadyExists, "volume %q exists and is different", req.GetName())
	}
	return &csi.CreateVolumeResponse{Volume: d.describe(found, size)}, nil
}

// makeVolume makes the image and then the record: an image without a record is
// made anew.
func (d *Driver) makeVolume(id string, params fault.Params, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	made := volume{
		ID:      id,
		Name:    req.GetName(),
		Source:  sourceID(req.GetVolumeContentSource()),
		Block:   !slices.ContainsFunc(req.GetVolumeCapabilities(), func(c *csi.VolumeCapability) bool { return c.GetMount() != nil }),
		Context: params,
	}
	source, err := d.sourceImage(req.GetVolumeContentSource())
	if err != nil {
		return nil, err
	}
	size, err := d.makeImage(made, source, req.GetCapacityRange())
	if err != nil {
		return nil, err
	}
	if err := d.volumes.Put(id, made); err != nil {
		return nil, err
	}
	return &csi.CreateVolumeResponse{Volume: d.describe(made, size)}, nil
}

// makeImage returns the image's size. A copy's file system grows at stage, when
// it is mounted.
func (d *Driver) makeImage(v volume, source string, asked *csi.CapacityRange) (int64, error) {
	least := int64(0)
	if source != "" {
		var err error
		if least, err = disk.Size(source); err != nil {
			return 0, err
		}
	} else if asked.GetRequiredBytes() == 0 && asked.GetLimitBytes() == 0 {
		least = defaultSize
	}
	size, err := sizeFor(asked, least)
	if err != nil {
		return 0, err
	}
	if err := d.checkRoom(size); err != nil {
		return 0, err
	}
	return size, d.fillImage(v, source, size)
}

func (d *Driver) fillImage(v volume, source string, size int64) error {
	image := d.volumes.Image(v.ID)
	if source != "" {
		if err := disk.Clone(source, image); err != nil {
			return err
		}
		return disk.Grow(image, size)
	}
	if err := disk.Create(image, size); err != nil || v.Block {
		return err
	}
	return disk.Format(image)
}

// sourceImage returns the image that the volume starts as, or "".
func (d *Driver) sourceImage(source *csi.VolumeContentSource) (string, error) {
	id := sourceID(source)
	switch {
	case source == nil:
		return "", nil
	case source.GetVolume() != nil:
		_, err := get(d.volumes, id)
		return d.volumes.Image(id), err
	case source.GetSnapshot() != nil:
		found, err := get(d.snapshots, id)
		if err == nil && !found.ready(time.Now()) {
			err = status.Errorf(codes.Unavailable, "snapshot %s is not ready", id)
		}
		return d.snapshots.Image(id), err
	}
	return "", status.Error(codes.InvalidArgument, "content source is neither snapshot nor volume")
}

func sourceID(source *csi.VolumeContentSource) string {
	if snapshot := source.GetSnapshot(); snapshot != nil {
		return snapshot.GetSnapshotId()
	}
	return source.GetVolume().GetVolumeId()
}

// describe tells what callers see of a volume.
func (d *Driver) describe(v volume, size int64) *csi.Volume {
	return &csi.Volume{
		VolumeId:           v.ID,
		CapacityBytes:      size,
		VolumeContext:      v.Context,
		ContentSource:      contentSource(v.Source),
		AccessibleTopology: []*csi.Topology{d.topology()},
	}
}

func contentSource(id string) *csi.VolumeContentSource {
	switch {
	case id == "":
		return nil
	case strings.HasPrefix(id, "snap-"):
		from := &csi.VolumeContentSource_SnapshotSource{SnapshotId: id}
		return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{Snapshot: from}}
	}
	from := &csi.VolumeContentSource_VolumeSource{VolumeId: id}
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{Volume: from}}
}

// DeleteVolume refuses while a node has the volume staged.
func (d *Driver) DeleteVolume(_ context.Context, req *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	id := req.GetVolumeId()
	if err := required("volume_id", id); err != nil {
		return nil, err
	}
	free, err := d.busy.take(id)
	if err != nil {
		return nil, err
	}
	defer free()
	if _, err := get(d.volumes, id); isNotFound(err) {
		return &csi.DeleteVolumeResponse{}, nil
	}
	device, err := disk.Device(d.volumes.Image(id))
	if err != nil {
		return nil, err
	}
	if device != "" {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is in use at %s", id, device)
	}
	return &csi.DeleteVolumeResponse{}, d.volumes.Delete(id)
}
