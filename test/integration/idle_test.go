package integration

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// A volume isn't let go with the last process that used it: its node may still
// hold what was written last.
func TestAVolumeThatIsntLetGoYetIsNotIdle(t *testing.T) {
	for name, hold := range map[string]func(w *world) (letGo func()){
		"a pod has just ended": func(w *world) func() {
			pod := w.runs("job", template("data"), nil)
			w.hasEnded(pod, metav1.Now())
			return func() { w.hasEnded(pod, metav1.NewTime(pod.CreationTimestamp.Add(-unmounted))) }
		},
		"a pod that ended isn't gone": func(w *world) func() {
			pod := w.runs("job", template("data"), nil)
			pod.Finalizers = []string{"example.com/kubelet"}
			w.must(admin.Update(w.ctx, pod))
			w.hasEnded(pod, metav1.NewTime(pod.CreationTimestamp.Add(-unmounted)))
			w.delete(pod)
			return func() {
				w.must(admin.Get(w.ctx, client.ObjectKeyFromObject(pod), pod))
				pod.Finalizers = nil
				w.must(admin.Update(w.ctx, pod))
			}
		},
		"the volume is attached": func(w *world) func() {
			attached := &storagev1.VolumeAttachment{
				ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
				Spec: storagev1.VolumeAttachmentSpec{
					Attacher: w.driver, NodeName: "node",
					Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: ptr.To(w.namespace + "-data")},
				},
			}
			w.must(admin.Create(w.ctx, attached))
			return func() { w.delete(attached) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := aWorld(t)
			w.claims("data")
			letGo := hold(w)
			w.aManager()
			b := w.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data")
			w.await(b, "waiting until the volume is let go", func(b *v1alpha1.VolumeBackup) bool {
				return isTrue(b, v1alpha1.ConditionStalled) && condition(b, v1alpha1.ConditionStalled).Reason == v1alpha1.ReasonPodNotRunning
			})
			if made := w.storage.made(); len(made) > 0 {
				t.Errorf("nothing should be cut yet: %v", made)
			}
			letGo()
			w.isMethod(w.awaitComplete(b, v1alpha1.Proven), v1alpha1.MethodIdle, 1)
		})
	}
}

// unmounted is long enough after the end of a pod.
const unmounted = 10 * time.Minute

// hasEnded is what the kubelet says of a pod whose containers have ended.
func (w *world) hasEnded(pod *corev1.Pod, when metav1.Time) {
	w.Helper()
	w.must(admin.Get(w.ctx, client.ObjectKeyFromObject(pod), pod))
	pod.Status.Phase = corev1.PodSucceeded
	for i := range pod.Status.ContainerStatuses {
		pod.Status.ContainerStatuses[i].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: when}}
	}
	w.must(admin.Status().Update(w.ctx, pod))
}
