package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// aWriter appends numbered records to files in turn, each synced before the
// next. Wherever it is stopped, each file is the next one or one ahead.
type aWriter struct {
	acked atomic.Int64 // the last number that is in all files
	stop  chan struct{}
	done  chan error
}

// startWriter starts one for the files a and b of the folder.
func startWriter(dir string) *aWriter {
	return startWriterOf(filepath.Join(dir, "a"), filepath.Join(dir, "b"))
}

func startWriterOf(paths ...string) *aWriter {
	w := &aWriter{stop: make(chan struct{}), done: make(chan error, 1)}
	go func() { w.done <- w.write(paths) }()
	Eventually(w.acked.Load).WithTimeout(20 * time.Second).Should(BeNumerically(">", 3))
	return w
}

func (w *aWriter) write(paths []string) error {
	for number := int64(1); ; number++ {
		for _, path := range paths {
			if err := appendRecord(path, number); err != nil {
				return err
			}
		}
		w.acked.Store(number)
		select {
		case <-w.stop:
			return nil
		default:
		}
	}
}

func (w *aWriter) end() {
	close(w.stop)
	Expect(<-w.done).To(Succeed())
}

const recordFormat = "%015d\n"

func appendRecord(path string, number int64) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := fmt.Fprintf(file, recordFormat, number); err != nil {
		return err
	}
	return file.Sync()
}

// lastRecord reads the file and returns the number of its last whole record.
// The records before it must be there, all of them.
func lastRecord(path string) int64 {
	text, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	size := len(fmt.Sprintf(recordFormat, 0))
	for number := int64(1); ; number++ {
		if len(text) < size {
			return number - 1
		}
		Expect(string(text[:size])).To(Equal(fmt.Sprintf(recordFormat, number)), path)
		text = text[size:]
	}
}

// records restores the snapshot, mounts it, and returns what the files hold.
// The file system must be clean once its journal is replayed, which the mount does.
func (d *testDriver) records(s *csi.Snapshot, c *csi.VolumeCapability) (a, b int64) {
	d.t.Helper()
	v := d.restored(s, "restored from "+s.GetSnapshotId())
	dir := d.mounted(v, c)
	a, b = lastRecord(filepath.Join(dir, "a")), lastRecord(filepath.Join(dir, "b"))
	d.unmounted(v)
	out, err := exec.Command("e2fsck", "-f", "-n", d.image(v.GetVolumeId())).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return a, b
}

func TestASnapshotIsTheDiskAtOneInstant(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data", func(r *csi.CreateVolumeRequest) { r.CapacityRange = ofSize(gibi) })
	w := startWriter(d.mounted(v, writer))
	for i, c := range []*csi.VolumeCapability{writer, reader, writer, reader, writer} {
		before := w.acked.Load()
		start := time.Now()
		s := d.aSnapshot(v, fmt.Sprint("snap", i), nil)
		took, after := time.Since(start), w.acked.Load()

		a, b := d.records(s, c)
		t.Logf("cut in %v, writer from %d to %d, holds %d and %d", took, before, after, a, b)
		Expect(b).To(BeNumerically(">=", before), "a synced record is missing")
		Expect(b).To(BeNumerically("<=", after+1), "a record from after the cut")
		Expect(a-b).To(And(BeNumerically(">=", 0), BeNumerically("<=", 1)), "torn")
	}
	w.end()
}

func TestASnapshotHasNothingThatOnlyThePageCacheHas(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	dir := d.mounted(v, writer)
	Expect(appendRecord(filepath.Join(dir, "synced"), 1)).To(Succeed())
	Expect(os.WriteFile(filepath.Join(dir, "unsynced"), make([]byte, mebi), 0o600)).To(Succeed())

	copied := d.mounted(d.restored(d.aSnapshot(v, "snap", nil), "copy"), writer)
	Expect(filepath.Join(copied, "synced")).To(BeARegularFile())
	if info, err := os.Stat(filepath.Join(copied, "unsynced")); err == nil {
		Expect(info.Size()).To(BeZero())
	}
}

func TestACopyOfARunningApplicationIsTorn(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	w := startWriter(d.mounted(v, writer))
	s := d.aSnapshot(v, "snap", map[string]string{"mode": "copying", "copyDelay": "300ms"})
	w.end()
	a, b := d.records(s, writer)
	t.Logf("holds %d and %d", a, b)
	Expect(b-a).To(BeNumerically(">", 1), "b is copied after a, and must be ahead")
}

func TestACopyOfAFrozenApplicationAgrees(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	dir := d.mounted(v, writer)
	w := startWriter(dir)
	fsfreeze(dir, freeze)
	acked := w.acked.Load()
	s := d.aSnapshot(v, "snap", map[string]string{"mode": "copying", "copyDelay": "300ms"})
	fsfreeze(dir, thaw)
	w.end()
	a, b := d.records(s, writer)
	Expect(b).To(BeNumerically(">=", acked))
	Expect(a - b).To(And(BeNumerically(">=", 0), BeNumerically("<=", 1)))
}

// FIFREEZE and FITHAW of linux/fs.h, which golang.org/x/sys doesn't name.
const (
	freeze = 0xc0045877
	thaw   = 0xc0045878
)

// fsfreeze does what the command of that name does.
func fsfreeze(dir string, request uint) {
	file, err := os.Open(dir)
	Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	Expect(unix.IoctlSetInt(int(file.Fd()), request, 0)).To(Succeed())
}

func TestASlowCopyKeepsWhatFilesAre(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	dir := d.mounted(v, writer)
	Expect(os.MkdirAll(filepath.Join(dir, "sub"), 0o710)).To(Succeed())
	Expect(os.WriteFile(filepath.Join(dir, "sub/file"), make([]byte, 9*mebi), 0o640)).To(Succeed())
	Expect(os.Chown(filepath.Join(dir, "sub/file"), 999, 998)).To(Succeed())
	Expect(os.Symlink("sub/file", filepath.Join(dir, "link"))).To(Succeed())

	s := d.aSnapshot(v, "snap", map[string]string{"mode": "copying", "copyDelay": "1ms"})
	copied := d.mounted(d.restored(s, "copy"), writer)
	for _, name := range []string{"sub", "sub/file", "link"} {
		Expect(look(filepath.Join(copied, name))).To(Equal(look(filepath.Join(dir, name))), name)
	}
}

// look returns what a copy must keep of a file.
func look(path string) string {
	var stat unix.Stat_t
	Expect(unix.Lstat(path, &stat)).To(Succeed())
	return fmt.Sprintf("%o %d:%d %d", stat.Mode, stat.Uid, stat.Gid, stat.Size)
}

// TestSpeed guards against what would make a freeze long: a snapshot that
// copies, or waits for others.
func TestSpeed(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data", func(r *csi.CreateVolumeRequest) { r.CapacityRange = ofSize(gibi) })
	dir := d.mounted(v, writer)
	Expect(appendRecord(filepath.Join(dir, "a"), 1)).To(Succeed())
	var cuts, stages []time.Duration
	for i := range 9 {
		start := time.Now()
		s := d.aSnapshot(v, fmt.Sprint("snap", i), nil)
		cuts = append(cuts, time.Since(start))
		restored := d.restored(s, fmt.Sprint("copy", i))
		start = time.Now()
		Expect(d.stage(restored, writer)).To(Succeed())
		stages = append(stages, time.Since(start))
	}
	slices.Sort(cuts)
	slices.Sort(stages)
	t.Logf("snapshots took %v, stages %v", cuts, stages)
	Expect(cuts[len(cuts)/2]).To(BeNumerically("<", 100*time.Millisecond))
	Expect(stages[len(stages)/2]).To(BeNumerically("<", 300*time.Millisecond))
}
