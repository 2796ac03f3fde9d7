package resticexport

import (
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func aCutBackup() (*v1alpha1.VolumeBackup, *v1alpha1.VolumeStatus) {
	cut := metav1.NewMicroTime(time.Date(2026, 11, 26, 2, 0, 0, 5000, time.UTC))
	b := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "mysql-1", UID: "u", Labels: map[string]string{v1alpha1.LabelPolicy: "nightly"}}}
	b.Spec.ApplicationRef = v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: "mysql"}
	b.Status.Quiesce = &v1alpha1.QuiesceStatus{CutAt: &cut}
	b.Status.Volumes = []v1alpha1.VolumeStatus{{
		ClaimName: "data", SnapshotName: "snap", RestoreSize: ptr.To(resource.MustParse("3Gi")),
		Claim: &v1alpha1.BackedUpClaim{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}, StorageClassName: ptr.To("fast"),
			Size: ptr.To(resource.MustParse("1Gi")), Capacity: ptr.To(resource.MustParse("2Gi")), Labels: map[string]string{"app": "mysql"},
		},
	}}
	return b, &b.Status.Volumes[0]
}

func TestClone(t *testing.T) {
	b, v := aCutBackup()
	clone := Clone(b, v)
	size := clone.Spec.Resources.Requests[corev1.ResourceStorage]
	switch {
	case clone.Spec.DataSource.Name != "snap", *clone.Spec.StorageClassName != "fast", clone.Spec.AccessModes[0] != corev1.ReadWriteOncePod:
		t.Errorf("it isn't like its claim: %+v", clone.Spec)
	case size.String() != "3Gi":
		t.Errorf("it has %s, and the snapshot needs 3Gi", size.String())
	case clone.Annotations[v1alpha1.AnnotationBackup] != "false", clone.Labels["app"] != "":
		t.Errorf("a policy or an application may take it for its own: %v, %v", clone.Annotations, clone.Labels)
	case !metav1.IsControlledBy(clone, b), clone.OwnerReferences[0].BlockOwnerDeletion != nil:
		t.Errorf("it doesn't go with its backup alone: %+v", clone.OwnerReferences)
	case clone.Name != CloneName(b, "data"), clone.Name == CloneName(b, "log"):
		t.Errorf("its name is %s", clone.Name)
	}
}

func TestExportJob(t *testing.T) {
	b, v := aCutBackup()
	r := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Name: "offsite"}}
	r.Spec.Mover.UploadLimit = ptr.To(resource.MustParse("1Mi"))
	first := ExportJob(b, v, r, Reading{User: ptr.To[int64](999), Groups: []int64{7}})
	task := first.Task.Backup
	if task.Host != "shop/mysql" || task.Claim != "data" || task.BackupUID != "u" || task.Policy != "nightly" || task.UploadLimit != 1<<20 || !task.Time.Equal(b.Status.Quiesce.CutAt.Time) {
		t.Errorf("its task is %+v", task)
	}
	if first.Source != CloneName(b, "data") || *first.User != 999 || first.Groups[0] != 7 || first.IsDevice {
		t.Errorf("it reads %+v", first)
	}
	if b.Spec.Export = (&v1alpha1.ExportSpec{AllowEmpty: true}); task.AllowEmpty || !ExportJob(b, v, r, Reading{}).Task.Backup.AllowEmpty {
		t.Error("whether an empty volume is exported isn't its owner's word")
	}
	v.CreationTime = ptr.To(metav1.NewTime(b.Status.Quiesce.CutAt.Add(-time.Second)))
	v.Export = &v1alpha1.ExportStatus{Attempts: 1}
	v.Claim.VolumeMode = ptr.To(corev1.PersistentVolumeBlock)
	second := ExportJob(b, v, r, Reading{})
	if second.Name == first.Name {
		t.Error("another attempt is another Job")
	}
	if !second.IsDevice || !second.Task.Backup.Device || !second.Task.Backup.Time.Equal(v.CreationTime.Time) {
		t.Errorf("a device, cut when its driver says: %+v", second.Task.Backup)
	}
}

func TestRecordExport(t *testing.T) {
	now := time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)
	e := &v1alpha1.ExportStatus{Message: "its pod starts"}
	RecordExport(e, Result{Cause: CauseUnreachable, Message: "no route"}, now)
	if e.SnapshotID != "" || e.Attempts != 1 || e.Message != "Unreachable: no route" {
		t.Errorf("after one that failed: %+v", e)
	}
	if next := NextExportAt(e, now); next != now.Add(10*time.Second) {
		t.Errorf("it is tried again at %s", next)
	}
	e.Attempts = 30
	if next := NextExportAt(e, now); next != now.Add(10*time.Minute) {
		t.Errorf("after many it is tried again at %s", next)
	}
	RecordExport(e, NotStarted("no room"), now)
	if next := NextExportAt(e, now); next != now.Add(10*time.Minute) || e.NotStarted != 1 || !strings.HasSuffix(e.Message, ": no room") {
		t.Errorf("one that doesn't start is tried again at %s: %+v", next, e)
	}
	for range 5 {
		RecordExport(e, NotStarted("no room"), now)
	}
	if next := NextExportAt(e, now); next != now.Add(time.Hour) {
		t.Errorf("after many that don't start it is tried again at %s", next)
	}
	RecordExport(e, Result{Cause: CauseUnreachable}, now)
	if e.NotStarted != 0 {
		t.Errorf("one that started: %+v", e)
	}
	RecordExport(e, Result{Done: true, Seconds: 1.5, Backup: &ExportedSnapshot{SnapshotID: "s", FilesNew: 1, FilesChanged: 2, FilesUnmodified: 3, BytesProcessed: 2048, BytesUploaded: 1024}}, now)
	if e.SnapshotID != "s" || e.Message != "" || e.Files != (v1alpha1.ExportedFiles{New: 1, Changed: 2, Unmodified: 3}) ||
		e.Processed.String() != "2Ki" || e.Uploaded.String() != "1Ki" || e.Duration.Duration != 1500*time.Millisecond {
		t.Errorf("after one that succeeded: %+v", e)
	}
}

func TestReadingAs(t *testing.T) {
	user := func(id int64) *corev1.SecurityContext { return &corev1.SecurityContext{RunAsUser: &id} }
	for name, c := range map[string]struct {
		pod  corev1.PodSpec
		want Reading
	}{
		"nothing is said": {corev1.PodSpec{Containers: []corev1.Container{{}}}, Reading{}},
		"by the pod": {corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{
			RunAsUser: ptr.To[int64](26), RunAsGroup: ptr.To[int64](27), FSGroup: ptr.To[int64](28), SupplementalGroups: []int64{29},
		}}, Reading{User: ptr.To[int64](26), Groups: []int64{29, 28, 27}, FSGroup: ptr.To[int64](28)}},
		"by a container": {corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](1)}, Containers: []corev1.Container{{}, {SecurityContext: user(999)}}},
			Reading{User: ptr.To[int64](999)}},
		"root": {corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](0)}, Containers: []corev1.Container{{SecurityContext: user(0)}}}, Reading{}},
	} {
		if got := ReadingAs(&c.pod); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestAnExportThatNoTryMendsSaysWhatToWrite(t *testing.T) {
	for name, c := range map[string]struct {
		result Result
		says   string
	}{
		"files of another user":   {Result{Cause: CauseSourceUnreadable, Message: "open /data/ibdata1: permission denied"}, "spec.mover.securityContext.runAsUser of ResticRepository offsite"},
		"files of root":           {Result{Cause: CauseSourceUnreadable, Message: "open /data/key: permission denied"}, "lull.dev/privileged-movers=true"},
		"a volume without files":  {Result{Cause: CauseEmpty}, "export.allowEmpty: true"},
		"a mover that was killed": {Result{Cause: CauseOutOfMemory}, ""},
		"a disk that is broken":   {Result{Cause: CauseSourceUnreadable, Message: "read /data/ibdata1: input/output error"}, ""},
		"a server that says no":   {Result{Cause: CauseAccessDenied, Message: "permission denied"}, ""},
	} {
		if got := MendOfExport(c.result, "offsite"); (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
