package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	. "github.com/onsi/gomega"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func haveCode(code codes.Code) OmegaMatcher { return WithTransform(status.Code, Equal(code)) }

// snapshots returns those of the volume.
func (d *testDriver) snapshots(v *csi.Volume) []*csi.ListSnapshotsResponse_Entry {
	list, err := d.ListSnapshots(d.t.Context(), &csi.ListSnapshotsRequest{SourceVolumeId: v.GetVolumeId()})
	Expect(err).NotTo(HaveOccurred())
	return list.GetEntries()
}

func TestACutThatTheCallerDidNotWaitForIsMadeLate(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	req := &csi.CreateSnapshotRequest{SourceVolumeId: v.GetVolumeId(), Name: "snap", Parameters: map[string]string{"cutDelay": "1s"}}

	_, err := d.CreateSnapshot(ctx, req)
	gaveUp := time.Now()
	Expect(err).To(haveCode(codes.DeadlineExceeded))
	Expect(d.snapshots(v)).To(BeEmpty())
	_, err = d.CreateSnapshot(t.Context(), req)
	Expect(err).To(haveCode(codes.Aborted), "the first call is still at work")

	Eventually(func() int { return len(d.snapshots(v)) }).WithTimeout(5 * time.Second).Should(Equal(1))
	late := d.snapshots(v)[0].GetSnapshot()
	Expect(late.GetCreationTime().AsTime()).To(BeTemporally(">", gaveUp))
	Expect(d.aSnapshot(v, "snap", req.Parameters).GetSnapshotId()).To(Equal(late.GetSnapshotId()))
}

func TestAnAnswerCanBeLateThoughTheCutWasNot(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	start := time.Now()
	s := d.aSnapshot(v, "snap", map[string]string{"returnDelay": "500ms"})
	Expect(time.Since(start)).To(BeNumerically(">", 500*time.Millisecond))
	Expect(s.GetCreationTime().AsTime()).To(BeTemporally("<", start.Add(400*time.Millisecond)))
}

func TestTheStampCanBeFromBeforeTheCut(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	for stamp, matcher := range map[string]OmegaMatcher{
		"before": BeNumerically("<", 300*time.Millisecond),
		"cut":    BeNumerically(">=", 500*time.Millisecond),
	} {
		start := time.Now()
		s := d.aSnapshot(v, stamp, map[string]string{"stamp": stamp, "cutDelay": "500ms"})
		Expect(s.GetCreationTime().AsTime().Sub(start)).To(matcher, stamp)
	}
}

func TestASnapshotIsReadyLaterOrNever(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	later := map[string]string{"readyAfter": "500ms"}
	s := d.aSnapshot(v, "later", later)
	Expect(s.GetReadyToUse()).To(BeFalse())
	_, err := d.CreateVolume(t.Context(), &csi.CreateVolumeRequest{
		Name: "copy", VolumeCapabilities: []*csi.VolumeCapability{writer}, VolumeContentSource: fromSnapshot(s)})
	Expect(err).To(haveCode(codes.Unavailable))
	Eventually(func() bool { return d.aSnapshot(v, "later", later).GetReadyToUse() }).WithTimeout(5 * time.Second).Should(BeTrue())

	never := map[string]string{"readyAfter": "never"}
	Expect(d.aSnapshot(v, "never", never).GetReadyToUse()).To(BeFalse())
	Consistently(func() bool { return d.aSnapshot(v, "never", never).GetReadyToUse() }).Should(BeFalse())
}

func TestErrorsEndAfterSoManyCallsOfAVolume(t *testing.T) {
	d := aDriver(t)
	one, two := d.aVolume("one"), d.aVolume("two")
	class := map[string]string{"error": "Unavailable", "times": "2"}
	for range 2 {
		for _, v := range []*csi.Volume{one, two} {
			_, err := d.trySnapshot(v, "of "+v.GetVolumeId(), class)
			Expect(err).To(haveCode(codes.Unavailable))
		}
	}
	d.aSnapshot(one, "of "+one.GetVolumeId(), class)
	d.aSnapshot(two, "of "+two.GetVolumeId(), class)
}

func TestDelaysEndAfterSoManySnapshotsOfAVolume(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	class := map[string]string{"readyAfter": "never", "times": "2"}
	for range 3 { // a name that is asked for again is not another snapshot
		Expect(d.aSnapshot(v, "first", class).GetReadyToUse()).To(BeFalse())
	}
	Expect(d.aSnapshot(v, "second", class).GetReadyToUse()).To(BeFalse())
	Expect(d.aSnapshot(v, "third", class).GetReadyToUse()).To(BeTrue())
}

func TestAVolumeThatCannotBeMadeOrMounted(t *testing.T) {
	d := aDriver(t)
	req := &csi.CreateVolumeRequest{
		Name: "late", VolumeCapabilities: []*csi.VolumeCapability{writer},
		Parameters: map[string]string{"createError": "ResourceExhausted", "createDelay": "300ms", "times": "1", "stageError": "Internal"},
	}
	_, err := d.CreateVolume(t.Context(), req)
	Expect(err).To(haveCode(codes.ResourceExhausted))
	start := time.Now()
	response, err := d.CreateVolume(t.Context(), req)
	Expect(err).NotTo(HaveOccurred())
	Expect(time.Since(start)).To(BeNumerically(">", 300*time.Millisecond))
	Expect(d.stage(response.GetVolume(), writer)).To(haveCode(codes.Internal))
	Expect(d.stage(response.GetVolume(), writer)).To(Succeed())
}

func TestATypoInAClassIsRefused(t *testing.T) {
	d := aDriver(t)
	v := d.aVolume("data")
	for key, value := range map[string]string{"cutdelay": "1s", "cutDelay": "1", "mode": "slow", "error": "UNAVAILABLE", "times": "0"} {
		_, err := d.trySnapshot(v, "snap", map[string]string{key: value})
		Expect(err).To(And(haveCode(codes.InvalidArgument), MatchError(ContainSubstring(key))))
	}
	d.aSnapshot(v, "snap", map[string]string{"csi.storage.k8s.io/volumesnapshot/name": "the sidecar's"})
}

func TestFaultsAreSetWhileRunning(t *testing.T) {
	d := aDriver(t)
	v, other := d.aVolume("data"), d.aVolume("other")
	d.run("fault", "set", "error=Unavailable", "volume=data", "times=1")
	d.aSnapshot(other, "of other", nil)
	_, err := d.trySnapshot(v, "of data", nil)
	Expect(err).To(haveCode(codes.Unavailable))
	d.aSnapshot(v, "of data", nil)

	d.run("fault", "set", "error=Unavailable", "times=1") // counts anew
	_, err = d.trySnapshot(v, "again", map[string]string{"error": "NotFound"})
	Expect(err).To(haveCode(codes.Unavailable), "what is set while running counts more than the class")

	d.run("fault", "set", "readyAfter=never")
	d.kill()
	d.start()
	Expect(faults(d.run("fault", "show"))).To(Equal(map[string]string{"readyAfter": "never"}))
	Expect(d.aSnapshot(v, "after a restart", nil).GetReadyToUse()).To(BeFalse())
	Expect(faults(d.run("fault", "clear"))).To(BeEmpty())
	Expect(d.aSnapshot(v, "cleared", nil).GetReadyToUse()).To(BeTrue())

	out, err := d.command("fault", "set", "eror=Unavailable").CombinedOutput()
	Expect(err).To(HaveOccurred())
	Expect(string(out)).To(ContainSubstring(`unknown parameter "eror"`))
}

func faults(text string) map[string]string {
	params := map[string]string{}
	Expect(json.NewDecoder(strings.NewReader(text)).Decode(&params)).To(Succeed())
	return params
}

func TestOneVolumeDoesNotWaitForAnother(t *testing.T) {
	d := aDriver(t)
	slow, fast := d.aVolume("slow"), d.aVolume("fast")
	d.run("fault", "set", "cutDelay=2s", "volume=slow")
	done := make(chan error, 1)
	go func() {
		_, err := d.trySnapshot(slow, "of slow", nil)
		done <- err
	}()
	for i := range 3 {
		d.aSnapshot(fast, "of fast "+string(rune('a'+i)), nil)
	}
	Expect(done).NotTo(Receive())
	Eventually(done).WithTimeout(5 * time.Second).Should(Receive(BeNil()))
}
