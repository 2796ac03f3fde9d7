package resticexport

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func aRestore(change func(*v1alpha1.VolumeRestore)) *v1alpha1.VolumeRestore {
	r := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "r", UID: "r-uid"}}
	r.Spec.Source.Repository = &v1alpha1.RepositorySource{Ref: v1alpha1.RepositoryReference{Name: "offsite"}}
	r.Spec.Target.ApplicationRef = &v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: "web"}
	change(r)
	return r
}

func TestWhatIsLookedFor(t *testing.T) {
	repository := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Name: "offsite"}}
	for name, c := range map[string]struct {
		change func(*v1alpha1.VolumeRestore)
		want   string
	}{
		"the target's own": {func(*v1alpha1.VolumeRestore) {}, `{"find":{"host":"shop/web"}}`},
		"of this namespace": {func(r *v1alpha1.VolumeRestore) { r.Spec.Source.Repository.Application = "db" },
			`{"find":{"host":"shop/db"}}`},
		"of another namespace, one claim, as of a moment": {func(r *v1alpha1.VolumeRestore) {
			r.Spec.Source.Repository.Application, r.Spec.Source.Repository.Claim = "prod/db", "data"
			r.Spec.Source.Repository.AsOf = ptr.To(metav1.NewTime(noon.In(time.FixedZone("", 3600))))
		}, `{"find":{"host":"prod/db","claims":["data"],"asOf":"2026-05-01T12:00:00Z"}}`},
		"a snapshot": {func(r *v1alpha1.VolumeRestore) {
			r.Spec.Source.Repository.SnapshotID, r.Spec.Source.Repository.Claim = "0123abcd", "data"
		}, `{"find":{"snapshotID":"0123abcd"}}`},
	} {
		job := FindJob(aRestore(c.change), repository)
		if got := job.Task.String(); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
		if _, err := ParseTask(job.Task.String()); err != nil || job.Deadline == 0 || job.Source+job.Target != "" {
			t.Errorf("%s: %v, %+v", name, err, job)
		}
	}
}

func TestWhatIsFound(t *testing.T) {
	ours := FoundSnapshot{SnapshotID: anID, Time: noon, Bytes: 5, Tags: Tags{Claim: "data", BackupUID: "b"}}
	foreign := FoundSnapshot{SnapshotID: anID, Time: noon, Host: "laptop", Paths: []string{"/srv/db"}}
	device := ours
	device.Device = true
	claim := func(name string) func(*v1alpha1.VolumeRestore) {
		return func(r *v1alpha1.VolumeRestore) { r.Spec.Source.Repository.Claim = v1alpha1.ClaimName(name) }
	}
	for name, c := range map[string]struct {
		found  FoundSnapshot
		change func(*v1alpha1.VolumeRestore)
		want   v1alpha1.RepositorySnapshot
		of     string
	}{
		"ours":     {ours, claim(""), v1alpha1.RepositorySnapshot{ClaimName: "data"}, "shop/web"},
		"a device": {device, claim(""), v1alpha1.RepositorySnapshot{ClaimName: "data", VolumeMode: corev1.PersistentVolumeBlock}, "shop/web"},
		"another's, whose folder becomes the root": {foreign, claim("db"), v1alpha1.RepositorySnapshot{ClaimName: "db", Folder: "/srv/db"}, "laptop"},
	} {
		found, err := FoundBackup(aRestore(c.change), []FoundSnapshot{c.found})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := found.Snapshots[0]
		if got.ClaimName != c.want.ClaimName || got.VolumeMode != c.want.VolumeMode || got.Folder != c.want.Folder || got.SnapshotID != anID || found.Application != c.of {
			t.Errorf("%s: %+v", name, found)
		}
	}
	several := foreign
	several.Paths = []string{"/srv", "/etc"}
	dump := foreign
	dump.Paths, dump.IsFile = []string{"/shop-db.sql"}, true
	for _, s := range []FoundSnapshot{several, dump} {
		if found, err := FoundBackup(aRestore(claim("db")), []FoundSnapshot{s}); err != nil || found.Snapshots[0].Folder != "" {
			t.Errorf("of several paths none becomes the root, and neither does a file: %+v, %v", found, err)
		}
	}
	for says, c := range map[string]func() (*v1alpha1.FoundBackup, error){
		"told of no snapshot": func() (*v1alpha1.FoundBackup, error) { return FoundBackup(aRestore(claim("db")), nil) },
		"wasn't made by Lull": func() (*v1alpha1.FoundBackup, error) {
			return FoundBackup(aRestore(claim("")), []FoundSnapshot{foreign})
		},
		"is of claim data": func() (*v1alpha1.FoundBackup, error) {
			return FoundBackup(aRestore(claim("db")), []FoundSnapshot{ours})
		},
	} {
		if _, err := c(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v doesn't say %q", err, says)
		}
	}
}

func TestFillJobs(t *testing.T) {
	repository := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Name: "offsite"}}
	c := &v1alpha1.RestoredClaim{ClaimName: "data", Fill: &v1alpha1.ClaimFill{SnapshotID: anID}}
	r := aRestore(func(r *v1alpha1.VolumeRestore) {
		r.Status.Found = &v1alpha1.FoundBackup{Snapshots: []v1alpha1.RepositorySnapshot{{ClaimName: "data", Folder: "/srv"}}}
	})
	as := Reading{User: ptr.To[int64](999), FSGroup: ptr.To[int64](998)}
	whole := FillJob(r, c, "temporary", repository, as)
	if got := whole.Task.String(); got != `{"restore":{"snapshotID":"`+anID+`","folder":"/srv","delete":true}}` || whole.Target != "temporary" {
		t.Errorf("%s into %s", got, whole.Target)
	}
	pod := Job(whole).Spec.Template.Spec
	if *pod.SecurityContext.RunAsUser != 999 || *pod.SecurityContext.FSGroup != 998 || as.ID() != 999 || (Reading{}).ID() != 65532 {
		t.Errorf("it writes as %+v", pod.SecurityContext)
	}
	r.Spec.Source.Paths = []string{"/etc/app.conf"}
	if got := FillJob(r, c, "t", repository, as).Task.Restore; got.Delete || len(got.Paths) != 1 {
		t.Errorf("some paths: %+v", got)
	}
	r.Spec.Source.Paths, c.Shape.VolumeMode = nil, ptr.To(corev1.PersistentVolumeBlock)
	if got := FillJob(r, c, "t", repository, as).Task.Restore; !got.Device || got.Delete || got.Folder != "" {
		t.Errorf("a device: %+v", got)
	}

	RecordFill(c.Fill, Result{Cause: CauseUnreachable, Message: "no route to host"}, noon)
	if c.Fill.FilledAt != nil || c.Fill.Attempts != 1 || c.Fill.Message != "Unreachable: no route to host" || !NextFillAt(c.Fill, noon).Equal(noon.Add(10*time.Second)) {
		t.Errorf("after an attempt that failed: %+v", c.Fill)
	}
	if again := FillJob(r, c, "t", repository, as); again.Name == whole.Name {
		t.Error("the next attempt has the Job of the one before")
	}
	RecordFill(c.Fill, Result{Done: true, Seconds: 2, Restore: &RestoredFiles{Files: 3, Bytes: 4}}, noon)
	if c.Fill.FilledAt == nil || c.Fill.Files != 3 || c.Fill.Bytes != 4 || c.Fill.Message != "" || c.Fill.Duration.Duration != 2*time.Second {
		t.Errorf("after one that succeeded: %+v", c.Fill)
	}
}
