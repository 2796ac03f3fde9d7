package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	. "github.com/onsi/gomega"
	"google.golang.org/grpc/codes"
)

// someVolumes creates that many.
func (d *testDriver) someVolumes(n int) []*csi.Volume {
	d.t.Helper()
	var volumes []*csi.Volume
	for i := range n {
		volumes = append(volumes, d.aVolume(fmt.Sprint("data", i)))
	}
	return volumes
}

func (d *testDriver) aGroup(name string, volumes []*csi.Volume, params map[string]string) *csi.VolumeGroupSnapshot {
	d.t.Helper()
	g, err := d.tryGroup(d.t.Context(), name, volumes, params)
	Expect(err).NotTo(HaveOccurred())
	return g
}

func (d *testDriver) tryGroup(ctx context.Context, name string, volumes []*csi.Volume, params map[string]string) (*csi.VolumeGroupSnapshot, error) {
	req := &csi.CreateVolumeGroupSnapshotRequest{Name: name, Parameters: params}
	for _, v := range volumes {
		req.SourceVolumeIds = append(req.SourceVolumeIds, v.GetVolumeId())
	}
	response, err := d.CreateVolumeGroupSnapshot(ctx, req)
	return response.GetGroupSnapshot(), err
}

func (d *testDriver) getGroup(g *csi.VolumeGroupSnapshot) (*csi.VolumeGroupSnapshot, error) {
	response, err := d.GetVolumeGroupSnapshot(d.t.Context(),
		&csi.GetVolumeGroupSnapshotRequest{GroupSnapshotId: g.GetGroupSnapshotId(), SnapshotIds: memberIDs(g)})
	return response.GetGroupSnapshot(), err
}

func (d *testDriver) deleteGroup(g *csi.VolumeGroupSnapshot, snapshotIDs []string) error {
	_, err := d.DeleteVolumeGroupSnapshot(d.t.Context(),
		&csi.DeleteVolumeGroupSnapshotRequest{GroupSnapshotId: g.GetGroupSnapshotId(), SnapshotIds: snapshotIDs})
	return err
}

func memberIDs(g *csi.VolumeGroupSnapshot) []string {
	var ids []string
	for _, s := range g.GetSnapshots() {
		ids = append(ids, s.GetSnapshotId())
	}
	return ids
}

// memberOf returns the group's snapshot of the volume.
func memberOf(g *csi.VolumeGroupSnapshot, v *csi.Volume) *csi.Snapshot {
	at := slices.IndexFunc(g.GetSnapshots(), func(s *csi.Snapshot) bool { return s.GetSourceVolumeId() == v.GetVolumeId() })
	Expect(at).NotTo(Equal(-1), v.GetVolumeId())
	return g.GetSnapshots()[at]
}

// leftovers returns what of snapshots and groups is in the pool.
func (d *testDriver) leftovers() []string {
	var found []string
	for _, folder := range []string{"snapshots", "groups", "cuts"} {
		paths, err := filepath.Glob(filepath.Join(d.dir, "pool", folder, "*"))
		Expect(err).NotTo(HaveOccurred())
		found = append(found, paths...)
	}
	return found
}

// TestAGroupIsItsVolumesAtOneInstant writes to volumes in turn. Copies that are
// made one after another have later records of the later ones, all the more when
// a volume among them takes its time.
func TestAGroupIsItsVolumesAtOneInstant(t *testing.T) {
	d := aDriver(t)
	volumes := d.someVolumes(5)
	var paths []string
	for _, v := range volumes {
		paths = append(paths, filepath.Join(d.mounted(v, writer), "file"))
	}
	slow := d.aVolume("slow", asRaw, func(r *csi.CreateVolumeRequest) { r.CapacityRange = ofSize(128 * mebi) })
	fragment(d.mounted(slow, raw))
	w := startWriterOf(paths...)
	for i := range 3 {
		before := w.acked.Load()
		start := time.Now()
		g := d.aGroup(fmt.Sprint("group", i), append(slices.Clone(volumes), slow), nil)
		took, after := time.Since(start), w.acked.Load()
		Expect(g.GetSnapshots()).To(HaveLen(len(volumes) + 1))

		var held []int64
		for _, v := range volumes {
			restored := d.restored(memberOf(g, v), "restored from "+memberOf(g, v).GetSnapshotId())
			held = append(held, lastRecord(filepath.Join(d.mounted(restored, writer), "file")))
			d.unmounted(restored)
		}
		t.Logf("cut in %v, writer from %d to %d, holds %v", took, before, after, held)
		last := held[len(held)-1]
		Expect(last).To(BeNumerically(">=", before), "a synced record is missing")
		Expect(held[0]).To(BeNumerically("<=", after+1), "a record from after the cut")
		Expect(slices.IsSortedFunc(held, func(a, b int64) int { return int(b - a) })).To(BeTrue(), "torn")
		Expect(held[0]-last).To(BeNumerically("<=", 1), "torn")
	}
	w.end()
}

// fragment writes every other block of a raw volume of 128 MiB. Each is an
// extent of the image, and a reflink of so many takes tens of milliseconds.
func fragment(path string) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	const block = 4096
	for at := int64(0); at < 128*mebi; at += 2 * block {
		_, err := file.WriteAt(make([]byte, block), at)
		Expect(err).NotTo(HaveOccurred())
	}
	Expect(file.Sync()).To(Succeed())
}

func TestAGroupIsFoundAgainAndDeletedWhole(t *testing.T) {
	d := aDriver(t)
	volumes := d.someVolumes(3)
	g := d.aGroup("group", volumes, nil)
	Expect(g.GetReadyToUse()).To(BeTrue())
	for _, s := range g.GetSnapshots() {
		Expect(s.GetGroupSnapshotId()).To(Equal(g.GetGroupSnapshotId()))
		Expect(s.GetCreationTime().AsTime()).To(Equal(g.GetCreationTime().AsTime()))
	}
	Expect(d.snapshots(volumes[0])[0].GetSnapshot().GetGroupSnapshotId()).To(Equal(g.GetGroupSnapshotId()))

	d.kill()
	d.start()
	slices.Reverse(volumes) // callers promise no order
	again := d.aGroup("group", volumes, nil)
	Expect(again.GetCreationTime().AsTime()).To(Equal(g.GetCreationTime().AsTime()))
	Expect(memberIDs(again)).To(Equal(memberIDs(g)))
	Expect(d.getGroup(g)).To(HaveField("GroupSnapshotId", g.GetGroupSnapshotId()))
	_, err := d.tryGroup(t.Context(), "group", volumes[:2], nil)
	Expect(err).To(haveCode(codes.AlreadyExists))

	_, err = d.DeleteSnapshot(t.Context(), &csi.DeleteSnapshotRequest{SnapshotId: memberIDs(g)[0]})
	Expect(err).To(haveCode(codes.InvalidArgument), "a member goes with its group only")
	Expect(d.deleteGroup(g, memberIDs(g)[1:])).To(haveCode(codes.InvalidArgument))
	Expect(d.deleteGroup(g, memberIDs(g))).To(Succeed())
	Expect(d.deleteGroup(g, memberIDs(g))).To(Succeed(), "again is fine")
	_, err = d.getGroup(g)
	Expect(err).To(haveCode(codes.NotFound))
	Expect(d.leftovers()).To(BeEmpty())
}

func TestAGroupIsOfVolumesThatExistEachOnce(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	missing := &csi.Volume{VolumeId: "vol-0000000000000000"}
	for _, c := range []struct {
		volumes []*csi.Volume
		code    codes.Code
	}{
		{nil, codes.InvalidArgument},
		{[]*csi.Volume{v, v}, codes.InvalidArgument},
		{[]*csi.Volume{v, missing}, codes.NotFound},
	} {
		_, err := d.tryGroup(t.Context(), "group", c.volumes, nil)
		Expect(err).To(haveCode(c.code))
	}
	Expect(d.leftovers()).To(BeEmpty())
}

// TestAHalfMadeGroupIsGoneAfterARestart kills the driver where a group has some
// images, then makes what it leaves when it is killed later, or earlier.
func TestAHalfMadeGroupIsGoneAfterARestart(t *testing.T) {
	d := aDriver(t)
	volumes := d.someVolumes(3)
	slow := map[string]string{"mode": "copying", "copyDelay": "1m", "volume": "data1"}
	Expect(writeIn(d.mounted(volumes[1], writer))).To(Succeed())
	go func() { _, _ = d.tryGroup(t.Context(), "group", volumes, slow) }()
	Eventually(d.leftovers).WithTimeout(5 * time.Second).Should(HaveLen(3))
	d.kill()
	d.start()
	Expect(d.leftovers()).To(BeEmpty())

	for what, damage := range map[string]func(*csi.VolumeGroupSnapshot){
		"members without their group": func(g *csi.VolumeGroupSnapshot) {
			Expect(os.Remove(filepath.Join(d.dir, "pool/groups", g.GetGroupSnapshotId()+".json"))).To(Succeed())
		},
		"a cut that is still there": func(g *csi.VolumeGroupSnapshot) {
			Expect(d.deleteGroup(g, memberIDs(g))).To(Succeed())
			cut := filepath.Join(d.dir, "pool/cuts", g.GetGroupSnapshotId())
			out, err := exec.Command("btrfs", "subvolume", "snapshot", "-r", filepath.Join(d.dir, "pool"), cut).CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), string(out))
		},
	} {
		damage(d.aGroup("group", volumes, nil))
		d.kill()
		d.start()
		Expect(d.leftovers()).To(BeEmpty(), what)
	}
	Expect(d.aGroup("group", volumes, nil).GetSnapshots()).To(HaveLen(3))
}

func TestAGroupThatTheCallerDidNotWaitForIsCutLate(t *testing.T) {
	d := aDriver(t)
	volumes := d.someVolumes(2)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	class := map[string]string{"cutDelay": "1s", "volume": "data1"}

	_, err := d.tryGroup(ctx, "group", volumes, class)
	gaveUp := time.Now()
	Expect(err).To(haveCode(codes.DeadlineExceeded))
	Expect(d.leftovers()).To(BeEmpty(), "the one that isn't slow waits for the other")
	_, err = d.tryGroup(t.Context(), "group", volumes, class)
	Expect(err).To(haveCode(codes.Aborted), "the first call is still at work")
	Eventually(func() error { _, err := d.tryGroup(t.Context(), "group", volumes, class); return err }).
		WithTimeout(5 * time.Second).Should(Succeed())
	Expect(d.aGroup("group", volumes, class).GetCreationTime().AsTime()).To(BeTemporally(">", gaveUp))
}

func TestManyGroupsAtOnce(t *testing.T) {
	d := aDriver(t)
	volumes := d.someVolumes(3)
	const many = 8
	errs := make(chan error, many)
	for i := range many {
		go func() {
			_, err := d.tryGroup(t.Context(), fmt.Sprint("group", i), volumes, nil)
			errs <- err
		}()
	}
	for range many {
		Expect(<-errs).To(Succeed())
	}
	Expect(d.snapshots(volumes[0])).To(HaveLen(many))
	Expect(filepath.Glob(filepath.Join(d.dir, "pool/cuts/*"))).To(BeEmpty())
}

func TestGroupsMeetTheFaultsOfTheirVolumes(t *testing.T) {
	d := aDriver(t)
	volumes := d.someVolumes(3)
	failing := map[string]string{"error": "Unavailable", "times": "2"}
	for range 2 { // a call counts for all volumes, not for the first that fails
		_, err := d.tryGroup(t.Context(), "failing", volumes, failing)
		Expect(err).To(haveCode(codes.Unavailable))
	}
	d.aGroup("failing", volumes, failing)

	d.run("fault", "set", "readyAfter=never", "volume=data1", "times=1")
	for range 2 {
		unready := d.aGroup("unready", volumes, nil)
		Expect(unready.GetReadyToUse()).To(BeFalse())
		Expect(memberOf(unready, volumes[0]).GetReadyToUse()).To(BeTrue())
		Expect(memberOf(unready, volumes[1]).GetReadyToUse()).To(BeFalse())
	}
	Expect(d.aGroup("ready", volumes, nil).GetReadyToUse()).To(BeTrue())

	start := time.Now()
	late := d.aGroup("late", volumes, map[string]string{"stamp": "before", "cutDelay": "300ms", "returnDelay": "300ms"})
	Expect(time.Since(start)).To(BeNumerically(">", 600*time.Millisecond))
	Expect(late.GetCreationTime().AsTime()).To(BeTemporally("<", start.Add(200*time.Millisecond)))

	_, err := d.tryGroup(t.Context(), "misspelt", volumes, map[string]string{"eror": "Unavailable"})
	Expect(err).To(haveCode(codes.InvalidArgument))
}
