package main

import (
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	. "github.com/onsi/gomega"
)

const (
	mebi = int64(1) << 20
	gibi = int64(1) << 30
)

var (
	writer = mode(csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER)
	reader = mode(csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY)
	raw    = &csi.VolumeCapability{
		AccessMode: writer.GetAccessMode(),
		AccessType: &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}},
	}
)

func mode(m csi.VolumeCapability_AccessMode_Mode) *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: m},
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
	}
}

func ofSize(bytes int64) *csi.CapacityRange { return &csi.CapacityRange{RequiredBytes: bytes} }

func fromSnapshot(s *csi.Snapshot) *csi.VolumeContentSource {
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
		Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: s.GetSnapshotId()},
	}}
}

func fromVolume(v *csi.Volume) *csi.VolumeContentSource {
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
		Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: v.GetVolumeId()},
	}}
}

// aVolume creates one, of 64 MiB unless the change says otherwise.
func (d *testDriver) aVolume(name string, change ...func(*csi.CreateVolumeRequest)) *csi.Volume {
	d.t.Helper()
	req := &csi.CreateVolumeRequest{
		Name:               name,
		CapacityRange:      ofSize(64 * mebi),
		VolumeCapabilities: []*csi.VolumeCapability{writer},
	}
	for _, c := range change {
		c(req)
	}
	response, err := d.CreateVolume(d.t.Context(), req)
	Expect(err).NotTo(HaveOccurred())
	return response.GetVolume()
}

// restored creates a volume from the snapshot, as large as that.
func (d *testDriver) restored(s *csi.Snapshot, name string) *csi.Volume {
	d.t.Helper()
	return d.aVolume(name, func(r *csi.CreateVolumeRequest) {
		r.CapacityRange, r.VolumeContentSource = nil, fromSnapshot(s)
	})
}

func (d *testDriver) aSnapshot(v *csi.Volume, name string, params map[string]string) *csi.Snapshot {
	d.t.Helper()
	s, err := d.trySnapshot(v, name, params)
	Expect(err).NotTo(HaveOccurred())
	return s
}

func (d *testDriver) trySnapshot(v *csi.Volume, name string, params map[string]string) (*csi.Snapshot, error) {
	response, err := d.CreateSnapshot(d.t.Context(),
		&csi.CreateSnapshotRequest{SourceVolumeId: v.GetVolumeId(), Name: name, Parameters: params})
	return response.GetSnapshot(), err
}

func (d *testDriver) staging(v *csi.Volume) string {
	return filepath.Join(d.dir, "kubelet", v.GetVolumeId(), "globalmount")
}

func (d *testDriver) target(v *csi.Volume) string {
	return filepath.Join(d.dir, "kubelet", v.GetVolumeId(), "pod")
}

func (d *testDriver) stage(v *csi.Volume, c *csi.VolumeCapability) error {
	if err := os.MkdirAll(d.staging(v), 0o750); err != nil {
		return err
	}
	_, err := d.NodeStageVolume(d.t.Context(), &csi.NodeStageVolumeRequest{
		VolumeId: v.GetVolumeId(), StagingTargetPath: d.staging(v), VolumeCapability: c, VolumeContext: v.GetVolumeContext(),
	})
	return err
}

// mounted stages and publishes the volume as the kubelet does, and returns where.
func (d *testDriver) mounted(v *csi.Volume, c *csi.VolumeCapability) string {
	d.t.Helper()
	Expect(d.stage(v, c)).To(Succeed())
	_, err := d.NodePublishVolume(d.t.Context(), &csi.NodePublishVolumeRequest{
		VolumeId: v.GetVolumeId(), StagingTargetPath: d.staging(v), TargetPath: d.target(v), VolumeCapability: c,
	})
	Expect(err).NotTo(HaveOccurred())
	return d.target(v)
}

func (d *testDriver) unmounted(v *csi.Volume) {
	d.t.Helper()
	_, err := d.NodeUnpublishVolume(d.t.Context(), &csi.NodeUnpublishVolumeRequest{VolumeId: v.GetVolumeId(), TargetPath: d.target(v)})
	Expect(err).NotTo(HaveOccurred())
	_, err = d.NodeUnstageVolume(d.t.Context(), &csi.NodeUnstageVolumeRequest{VolumeId: v.GetVolumeId(), StagingTargetPath: d.staging(v)})
	Expect(err).NotTo(HaveOccurred())
}
