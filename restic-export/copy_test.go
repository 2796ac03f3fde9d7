package resticexport

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// aCopy is a restore of a path of the claim data, whose snapshot is cloned.
func aCopy() (*v1alpha1.VolumeRestore, *v1alpha1.RestoredClaim) {
	r := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "r", UID: "r-uid"}}
	r.Spec.Source.VolumeBackupRef, r.Spec.Source.Paths = &v1alpha1.LocalReference{Name: "b"}, []string{"/etc/app.conf"}
	c := &v1alpha1.RestoredClaim{ClaimName: "data", SnapshotName: "s", Fill: &v1alpha1.ClaimFill{Clone: &v1alpha1.ClaimShape{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}, StorageClassName: ptr.To("fast"), Size: resource.MustParse("3Gi"),
	}}}
	return r, c
}

func TestTheCloneThatPathsAreCopiedFrom(t *testing.T) {
	r, c := aCopy()
	clone := FillClone(r, c)
	by := metav1.GetControllerOf(clone)
	if clone.Name != FillCloneName(r, "data") || clone.Name == FillCloneName(r, "logs") || clone.Namespace != "shop" || by == nil || by.UID != "r-uid" || by.Kind != "VolumeRestore" {
		t.Errorf("whose it is: %+v", clone.ObjectMeta)
	}
	if clone.Annotations[v1alpha1.AnnotationBackup] != "false" || clone.Labels[v1alpha1.LabelRestoreUID] != "r-uid" || clone.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		t.Errorf("what it is known by: %+v", clone.ObjectMeta)
	}
	spec := clone.Spec
	if spec.DataSource.Kind != "VolumeSnapshot" || spec.DataSource.Name != "s" || *spec.StorageClassName != "fast" || spec.AccessModes[0] != corev1.ReadWriteMany || spec.Resources.Requests.Storage().String() != "3Gi" {
		t.Errorf("what it is made from: %+v", spec)
	}
}

func TestCopyJobs(t *testing.T) {
	r, c := aCopy()
	tolerations := []corev1.Toleration{{Key: "disk", Operator: corev1.TolerationOpExists}}
	as := Reading{User: ptr.To[int64](999), Groups: []int64{998}, FSGroup: ptr.To[int64](998), Tolerations: tolerations}
	in := CopyJob(r, c, "new", as)
	if got := in.Task.String(); got != `{"copy":{"paths":["/etc/app.conf"]}}` {
		t.Error(got)
	}
	job := Job(in)
	pod := job.Spec.Template.Spec
	container := pod.Containers[0]
	if _, has := job.Labels[v1alpha1.LabelRepository]; job.Labels[v1alpha1.LabelRestoreUID] != "r-uid" || has || len(container.Env) != 1 || !slices.Equal(container.Args, []string{"--", in.Task.String()}) {
		t.Errorf("it has something of a repository: %v %v %q", job.Labels, container.Env, container.Args)
	}
	source, data := mountOf(&pod, "source"), mountOf(&pod, "data")
	if len(container.VolumeMounts) != 2 || source.MountPath != SourcePath || !source.ReadOnly || data.MountPath != DataPath || data.ReadOnly || claimOf(&pod) != "new" {
		t.Errorf("it mounts %+v", container.VolumeMounts)
	}
	for _, v := range pod.Volumes {
		if v.Name == "source" && (v.PersistentVolumeClaim.ClaimName != FillCloneName(r, "data") || !v.PersistentVolumeClaim.ReadOnly) {
			t.Errorf("a kubelet gives the clone's files to a group: %+v", v.PersistentVolumeClaim)
		}
	}
	if s := pod.SecurityContext; *s.RunAsUser != 999 || *s.FSGroup != 998 || !slices.Equal(s.SupplementalGroups, []int64{998}) || len(pod.Tolerations) != 1 {
		t.Errorf("it runs as %+v, tolerates %+v", s, pod.Tolerations)
	}
	if s := podOf(CopyJob(r, c, "new", Reading{})).SecurityContext; *s.RunAsUser != 65532 || *s.FSGroup != 65532 {
		t.Errorf("where nothing is known it runs as %+v", s)
	}
	r.Spec.Target.TargetPath = "/restored"
	if in := CopyJob(r, c, "old", as); podOf(in).SecurityContext.FSGroup != nil || in.Task.String() != `{"copy":{"paths":["/etc/app.conf"],"into":"/restored"}}` {
		t.Errorf("a kubelet would change the files of an application's claim, or it does %s", in.Task)
	}
	r.Spec.Target.TargetPath = ""
	root := podOf(CopyJob(r, c, "new", Reading{Privileged: true}))
	if *root.SecurityContext.RunAsUser != 0 || !slices.Contains(root.Containers[0].SecurityContext.Capabilities.Add, "CHOWN") {
		t.Errorf("privileged it is %+v", root.Containers[0].SecurityContext)
	}
	RecordFill(c.Fill, Result{Cause: CauseInterrupted}, noon)
	if again := CopyJob(r, c, "new", as); again.Name == in.Name {
		t.Error("the next attempt has the Job of the one before")
	}
}

func TestAPodToleratesWhatTheApplicationsDo(t *testing.T) {
	pod := &corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: "disk"}}}
	if as := ReadingAs(pod); len(as.Tolerations) != 1 || as.Tolerations[0].Key != "disk" {
		t.Errorf("%+v", as)
	}
}
