package cut

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// mounter is a pod on node n that has the claim data in a volume.
func mounter(name string, change ...func(*corev1.Pod)) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.NodeName, p.Status.Phase = "n", corev1.PodRunning
	p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	for _, c := range change {
		c(&p)
	}
	return p
}

func TestCheckUnmounted(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ended := func(ago time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodSucceeded
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(now.Add(-ago))}}}}
		}
	}
	told := func(ago time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			at := func(ago time.Duration) *metav1.Time { return ptr.To(metav1.NewTime(now.Add(-ago))) }
			p.ManagedFields = []metav1.ManagedFieldsEntry{
				{Subresource: "status", Time: at(ago + time.Hour)}, {Subresource: "status", Time: at(ago)}, {Time: at(0)}, {Subresource: "status"},
			}
		}
	}
	going := func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} }
	attached := func(volume, node string) []storagev1.VolumeAttachment {
		return []storagev1.VolumeAttachment{{Spec: storagev1.VolumeAttachmentSpec{NodeName: node, Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: ptr.To(volume)}}}}
	}
	for name, c := range map[string]struct {
		pods     []corev1.Pod
		attached []storagev1.VolumeAttachment
		waits    bool
	}{
		"nothing is left of it":                {},
		"a pod has just ended":                 {pods: []corev1.Pod{mounter("a", ended(time.Second))}, waits: true},
		"a pod has ended":                      {pods: []corev1.Pod{mounter("a", ended(time.Hour))}},
		"a pod that ended isn't gone":          {pods: []corev1.Pod{mounter("a", ended(time.Hour), going)}, waits: true},
		"its node's clock is behind":           {pods: []corev1.Pod{mounter("a", ended(time.Hour), told(time.Second))}, waits: true},
		"its node's clock is ahead":            {pods: []corev1.Pod{mounter("a", ended(-time.Hour), told(time.Minute))}},
		"it is attached":                       {attached: attached("pv", "n"), waits: true},
		"another is attached":                  {attached: attached("other", "n")},
		"it is attached for a pod that reads":  {pods: []corev1.Pod{mounter("a")}, attached: attached("pv", "n")},
		"it is attached elsewhere":             {pods: []corev1.Pod{mounter("a")}, attached: attached("pv", "other"), waits: true},
		"it is attached for a pod that is not": {pods: []corev1.Pod{mounter("a", ended(time.Hour))}, attached: attached("pv", "n"), waits: true},
	} {
		err := CheckUnmounted([]v1alpha1.VolumeStatus{{ClaimName: "data", VolumeName: "pv"}}, c.pods, c.attached, now)
		if (err != nil) != c.waits {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStillMounted(t *testing.T) {
	finished := func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }
	if StillMounted([]corev1.Pod{mounter("a")}, []string{"data"}) == "" {
		t.Error("a pod has it mounted")
	}
	if said := StillMounted([]corev1.Pod{mounter("a", finished)}, []string{"data"}) + StillMounted([]corev1.Pod{mounter("a")}, []string{"log"}); said != "" {
		t.Errorf("no pod has it mounted: %s", said)
	}
}
