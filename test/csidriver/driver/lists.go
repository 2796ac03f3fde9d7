package driver

import (
	"context"
	"errors"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/lull-dev/lull/test/csidriver/disk"
)

// GetCapacity tells what is free on our node, and nothing on others.
func (d *Driver) GetCapacity(_ context.Context, req *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	if unsupported(req.GetVolumeCapabilities()...) != "" || !d.here(req.GetAccessibleTopology()) {
		return &csi.GetCapacityResponse{}, nil
	}
	free, err := d.pool.Free()
	if err != nil {
		return nil, err
	}
	return &csi.GetCapacityResponse{
		AvailableCapacity: free,
		MaximumVolumeSize: wrapperspb.Int64(free),
		MinimumVolumeSize: wrapperspb.Int64(smallestSize),
	}, nil
}

// ListVolumes lists all volumes in the order of their ids.
func (d *Driver) ListVolumes(_ context.Context, req *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	all, err := d.volumes.List()
	if err != nil {
		return nil, err
	}
	id := func(v volume) string { return v.ID }
	shown, next, err := page(all, id, req.GetStartingToken(), req.GetMaxEntries())
	if err != nil {
		return nil, err
	}
	response := &csi.ListVolumesResponse{NextToken: next}
	for _, v := range shown {
		size, err := disk.Size(d.volumes.Image(v.ID))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted since
		}
		if err != nil {
			return nil, err
		}
		response.Entries = append(response.Entries, &csi.ListVolumesResponse_Entry{Volume: d.describe(v, size)})
	}
	return response, nil
}

// ListSnapshots lists the snapshots asked for in the order of their ids.
func (d *Driver) ListSnapshots(_ context.Context, req *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	all, err := d.snapshots.List()
	if err != nil {
		return nil, err
	}
	var asked []snapshot
	for _, s := range all {
		if matches(req.GetSnapshotId(), s.ID) && matches(req.GetSourceVolumeId(), s.Volume) {
			asked = append(asked, s)
		}
	}
	id := func(s snapshot) string { return s.ID }
	shown, next, err := page(asked, id, req.GetStartingToken(), req.GetMaxEntries())
	if err != nil {
		return nil, err
	}
	response := &csi.ListSnapshotsResponse{NextToken: next}
	for _, s := range shown {
		described, err := d.describeSnapshot(s)
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted since
		}
		if err != nil {
			return nil, err
		}
		response.Entries = append(response.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: described})
	}
	return response, nil
}

func matches(filter, value string) bool { return filter == "" || filter == value }

// page returns the entries after the token, which is the id of the last entry
// of the page before: it stays good when entries come and go.
func page[T any](all []T, id func(T) string, token string, limit int32) (shown []T, next string, err error) {
	if token != "" && !idPattern.MatchString(token) {
		return nil, "", status.Errorf(codes.Aborted, "starting token %q is not one of ours", token)
	}
	for _, entry := range all {
		if id(entry) <= token {
			continue
		}
		if limit > 0 && len(shown) == int(limit) {
			return shown, id(shown[limit-1]), nil
		}
		shown = append(shown, entry)
	}
	return shown, "", nil
}
