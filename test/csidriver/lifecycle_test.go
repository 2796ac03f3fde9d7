package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/lull-dev/lull/test/csidriver/disk"
)

func sizeOf(path string) int64 {
	var stat unix.Statfs_t
	Expect(unix.Statfs(path, &stat)).To(Succeed())
	return int64(stat.Blocks) * stat.Bsize
}

// TestAKilledDriverForgetsNothing writes through the driver's death, and finds
// volumes, mounts and snapshots as they were.
func TestAKilledDriverForgetsNothing(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	w := startWriter(d.mounted(v, writer))
	s := d.aSnapshot(v, "before", nil)
	d.kill()
	acked := w.acked.Load()
	Eventually(w.acked.Load).Should(BeNumerically(">", acked+3), "the volume stays mounted")
	d.start()

	Expect(d.aVolume("data")).To(HaveField("VolumeId", v.GetVolumeId()))
	again := d.aSnapshot(v, "before", nil)
	Expect(again.GetCreationTime().AsTime()).To(Equal(s.GetCreationTime().AsTime()))
	acked = w.acked.Load()
	a, b := d.records(d.aSnapshot(v, "after", nil), writer)
	Expect(b).To(BeNumerically(">=", acked))
	Expect(a - b).To(And(BeNumerically(">=", 0), BeNumerically("<=", 1)))
	w.end()
	d.unmounted(v)
}

func TestACopyIsAbandonedWhenTheDriverIsKilled(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	dir := d.mounted(v, writer)
	Expect(appendRecord(filepath.Join(dir, "a"), 1)).To(Succeed())
	idle := d.aVolume("idle") // attached for the copy only
	Expect(writeIn(d.mounted(idle, writer))).To(Succeed())
	d.unmounted(idle)
	for _, source := range []*csi.Volume{v, idle} {
		go func() {
			_, _ = d.trySnapshot(source, "of "+source.GetVolumeId(), map[string]string{"mode": "copying", "copyDelay": "1m"})
		}()
	}
	work := filepath.Join(d.dir, "work")
	Eventually(func() []string { return traces(work) }).WithTimeout(5 * time.Second).Should(HaveLen(4))
	d.kill()
	d.start()

	Expect(traces(work)).To(BeEmpty())
	Expect(d.snapshots(v)).To(BeEmpty())
	Expect(lastRecord(filepath.Join(dir, "a"))).To(BeEquivalentTo(1), "the volume is untouched")
	d.aSnapshot(v, "of "+v.GetVolumeId(), nil)
	_, err := d.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: idle.GetVolumeId()})
	Expect(err).NotTo(HaveOccurred(), "nothing uses it any more")
}

func TestCleanupLeavesNothing(t *testing.T) {
	d := aDriver(t)
	v, block, orphan := d.aVolume("data"), d.aVolume("block", asRaw), d.aVolume("orphan")
	fsfreeze(d.mounted(v, writer), freeze)
	stacked := attachOver(d.mounted(block, raw)) // as the kubelet does
	d.mounted(orphan, writer)
	Expect(os.Remove(d.image(orphan.GetVolumeId()))).To(Succeed())
	d.kill()
	Expect(traces(d.dir)).NotTo(BeEmpty())

	d.run("cleanup")
	Expect(traces(d.dir)).To(BeEmpty())
	Expect(filepath.Join("/sys/block", filepath.Base(stacked), "loop")).NotTo(BeADirectory())
	d.run("cleanup") // again is fine
	d.start()
	d.mounted(v, writer) // and what was there is still there
}

// attachOver attaches a loop device to the file and returns it.
func attachOver(path string) string {
	out, err := exec.Command("losetup", "--find", "--show", path).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return strings.TrimSpace(string(out))
}

func asRaw(r *csi.CreateVolumeRequest) { r.VolumeCapabilities = []*csi.VolumeCapability{raw} }

func TestSizesAreLimits(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	file, err := os.Create(filepath.Join(d.mounted(v, writer), "file"))
	Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	_, err = io.CopyN(file, zeros{}, 70*mebi)
	Expect(err).To(MatchError(unix.ENOSPC))
}

type zeros struct{}

func (zeros) Read(into []byte) (int, error) { clear(into); return len(into), nil }

func TestALargerRestoreHasALargerFileSystem(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	dir := d.mounted(v, writer)
	Expect(appendRecord(filepath.Join(dir, "a"), 1)).To(Succeed())
	s := d.aSnapshot(v, "snap", nil)
	small := sizeOf(dir)

	larger := d.mounted(d.aVolume("larger", func(r *csi.CreateVolumeRequest) {
		r.CapacityRange, r.VolumeContentSource = ofSize(256*mebi), fromSnapshot(s)
	}), writer)
	Expect(sizeOf(larger)).To(BeNumerically(">", 3*small))
	Expect(lastRecord(filepath.Join(larger, "a"))).To(BeEquivalentTo(1))

	_, err := d.CreateVolume(t.Context(), &csi.CreateVolumeRequest{
		Name: "smaller", VolumeCapabilities: []*csi.VolumeCapability{writer}, VolumeContentSource: fromSnapshot(s),
		CapacityRange: &csi.CapacityRange{LimitBytes: 32 * mebi},
	})
	Expect(err).To(haveCode(codes.OutOfRange))
}

func TestAVolumeGrows(t *testing.T) {
	d := aDriver(t)
	v, block := d.aVolume("data"), d.aVolume("block", asRaw)
	device := d.mounted(block, raw)
	for _, grown := range []*csi.Volume{v, block} {
		_, err := d.ControllerExpandVolume(t.Context(), &csi.ControllerExpandVolumeRequest{VolumeId: grown.GetVolumeId(), CapacityRange: ofSize(256 * mebi)})
		Expect(err).NotTo(HaveOccurred())
	}
	dir := d.mounted(v, writer)
	for id, path := range map[string]string{v.GetVolumeId(): dir, block.GetVolumeId(): device} {
		_, err := d.NodeExpandVolume(t.Context(), &csi.NodeExpandVolumeRequest{VolumeId: id, VolumePath: path})
		Expect(err).NotTo(HaveOccurred())
	}
	Expect(sizeOf(dir)).To(BeNumerically(">", 200*mebi))
	file, err := os.Open(device)
	Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	Expect(file.Seek(0, io.SeekEnd)).To(Equal(256 * mebi))
}

func TestARawVolumeIsADevice(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("block", asRaw)
	Expect(os.WriteFile(d.mounted(v, raw), []byte("hello"), 0)).To(Succeed())
	for mode, params := range map[string]map[string]string{"atomic": nil, "copying": {"mode": "copying", "copyDelay": "1ms"}} {
		unix.Sync() // nobody else does: only the device's cache has it
		s := d.aSnapshot(v, mode, params)
		restored := d.aVolume("restored "+mode, asRaw, func(r *csi.CreateVolumeRequest) { r.CapacityRange, r.VolumeContentSource = nil, fromSnapshot(s) })
		path := d.mounted(restored, raw)
		info, err := os.Stat(path)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode() & os.ModeDevice).NotTo(BeZero())
		Expect(head(path, 5)).To(Equal("hello"), mode)
		d.unmounted(restored)
	}
}

func head(path string, n int) string {
	file, err := os.Open(path)
	Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	text := make([]byte, n)
	_, err = io.ReadFull(file, text)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}

func TestAReaderCannotWrite(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	w := startWriter(d.mounted(v, writer))
	clone := d.aVolume("clone", func(r *csi.CreateVolumeRequest) { r.CapacityRange, r.VolumeContentSource = nil, fromVolume(v) })
	w.end()
	dir := d.mounted(clone, reader) // unclean: the journal is replayed all the same
	Expect(lastRecord(filepath.Join(dir, "b"))).To(BeNumerically(">", 3))
	Expect(writeIn(dir)).To(MatchError(unix.EROFS))
	Expect(writeIn(d.staging(clone))).To(MatchError(unix.EROFS))
}

func TestAVolumeIsPublishedToReadOnly(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	dir := d.mounted(v, writer)
	second := d.target(v) + "2"
	_, err := d.NodePublishVolume(t.Context(), &csi.NodePublishVolumeRequest{
		VolumeId: v.GetVolumeId(), StagingTargetPath: d.staging(v), TargetPath: second, VolumeCapability: writer, Readonly: true,
	})
	Expect(err).NotTo(HaveOccurred())
	Expect(writeIn(dir)).To(Succeed())
	Expect(writeIn(second)).To(MatchError(unix.EROFS))
}

func writeIn(dir string) error { return os.WriteFile(filepath.Join(dir, "new"), nil, 0o600) }

func TestASingleWriterIsAlone(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	publish := func(m csi.VolumeCapability_AccessMode_Mode, target string) error {
		_, err := d.NodePublishVolume(t.Context(), &csi.NodePublishVolumeRequest{
			VolumeId: v.GetVolumeId(), StagingTargetPath: d.staging(v), TargetPath: target, VolumeCapability: mode(m),
		})
		return err
	}
	Expect(publish(csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER, d.target(v))).To(haveCode(codes.FailedPrecondition), "not staged")
	d.mounted(v, writer)
	Expect(publish(csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER, d.target(v)+"2")).To(haveCode(codes.FailedPrecondition))
	Expect(publish(csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER, d.target(v)+"2")).To(Succeed())
}

func TestAVolumeInUseStays(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	d.mounted(v, writer)
	remove := func() error {
		_, err := d.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: v.GetVolumeId()})
		return err
	}
	Expect(remove()).To(haveCode(codes.FailedPrecondition))
	d.unmounted(v)
	Expect(remove()).To(Succeed())
	Expect(d.image(v.GetVolumeId())).NotTo(BeAnExistingFile())
}

func TestVolumesAreOnTheirNode(t *testing.T) {
	d := aDriver(t, "--node-id", "here")
	const key = "topology.disk.csi.lull.dev/node"
	on := func(node string) error {
		_, err := d.CreateVolume(t.Context(), &csi.CreateVolumeRequest{
			Name: node, VolumeCapabilities: []*csi.VolumeCapability{writer}, CapacityRange: ofSize(64 * mebi),
			AccessibilityRequirements: &csi.TopologyRequirement{Requisite: []*csi.Topology{{Segments: map[string]string{key: node}}}},
		})
		return err
	}
	Expect(on("here")).To(Succeed())
	Expect(on("elsewhere")).To(haveCode(codes.ResourceExhausted))
	info, err := d.NodeGetInfo(t.Context(), &csi.NodeGetInfoRequest{})
	Expect(err).NotTo(HaveOccurred())
	Expect(info.GetAccessibleTopology().GetSegments()).To(HaveKeyWithValue(key, "here"))
}

func TestManyVolumesAtOnce(t *testing.T) {
	d := aDriver(t)
	const many = 16 // more than the loop devices that a machine starts with
	volumes := make([]*csi.Volume, many)
	errs := make(chan error, many)
	for i := range many {
		volumes[i] = d.aVolume(strings.Repeat("v", i+1))
	}
	for _, v := range volumes {
		go func() { errs <- d.stage(v, writer) }()
	}
	for range many {
		Expect(<-errs).To(Succeed())
	}
	list, err := d.ListVolumes(t.Context(), &csi.ListVolumesRequest{MaxEntries: many - 1})
	Expect(err).NotTo(HaveOccurred())
	rest, err := d.ListVolumes(t.Context(), &csi.ListVolumesRequest{StartingToken: list.GetNextToken()})
	Expect(err).NotTo(HaveOccurred())
	Expect(slices.Concat(list.GetEntries(), rest.GetEntries())).To(HaveLen(many))
}

func TestLoopDevicesAreNotTakenTwice(t *testing.T) {
	RegisterTestingT(t)
	dir := t.TempDir()
	t.Cleanup(func() { Expect(disk.Cleanup(dir)).To(Succeed()) })
	const many = 40
	devices, errs := make(chan string, many), make(chan error, many)
	for i := range many {
		image := filepath.Join(dir, strings.Repeat("i", i+1))
		Expect(disk.Create(image, mebi)).To(Succeed())
		go func() {
			device, err := disk.Attach(image)
			devices <- device
			errs <- err
		}()
	}
	taken := map[string]bool{}
	for range many {
		Expect(<-errs).To(Succeed())
		taken[<-devices] = true
	}
	Expect(taken).To(HaveLen(many))
}

func TestTheKubeletFindsTheDriver(t *testing.T) {
	dir := t.TempDir()
	d := aDriver(t, "--kubelet-dir", dir)
	conn, err := grpc.NewClient("unix://"+filepath.Join(dir, "plugins_registry", "disk.csi.lull.dev-reg.sock"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	client := registration.NewRegistrationClient(conn)

	var info *registration.PluginInfo
	Eventually(func() error { info, err = client.GetInfo(t.Context(), &registration.InfoRequest{}); return err }).Should(Succeed())
	Expect(info.GetType()).To(Equal("CSIPlugin"))
	Expect(info.GetName()).To(Equal("disk.csi.lull.dev"))
	Expect(info.GetEndpoint()).To(Equal(d.socket()))
	Expect(info.GetSupportedVersions()).To(ConsistOf("1.0.0"))
	_, err = client.NotifyRegistrationStatus(t.Context(), &registration.RegistrationStatus{PluginRegistered: true})
	Expect(err).NotTo(HaveOccurred())
}
