package integration

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// A volume isn't unmounted with the last process that used it: its node may still
// hold what was written last.
func TestAVolumeThatIsStillMountedIsWaitedFor(t *testing.T) {
	for name, hold := range map[string]func(fc *fakeCluster) (release func()){
		"a pod has just ended": func(fc *fakeCluster) func() {
			pod := fc.runs("job", template("data"), nil)
			fc.hasEnded(pod, metav1.Now())
			return func() { fc.hasEnded(pod, metav1.NewTime(pod.CreationTimestamp.Add(-unmounted))) }
		},
		"a pod that ended isn't gone": func(fc *fakeCluster) func() {
			pod := fc.runs("job", template("data"), nil)
			pod.Finalizers = []string{"example.com/kubelet"}
			fc.must(admin.Update(fc.ctx, pod))
			fc.hasEnded(pod, metav1.NewTime(pod.CreationTimestamp.Add(-unmounted)))
			fc.delete(pod)
			return func() {
				fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(pod), pod))
				pod.Finalizers = nil
				fc.must(admin.Update(fc.ctx, pod))
			}
		},
		"the volume is attached": func(fc *fakeCluster) func() {
			attached := &storagev1.VolumeAttachment{
				ObjectMeta: metav1.ObjectMeta{Name: fc.namespace},
				Spec: storagev1.VolumeAttachmentSpec{
					Attacher: fc.driver, NodeName: "node",
					Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: ptr.To(fc.namespace + "-data")},
				},
			}
			fc.must(admin.Create(fc.ctx, attached))
			return func() { fc.delete(attached) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.claims("data")
			release := hold(fc)
			fc.aManager()
			b := fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data")
			fc.await(b, "waiting until the volume is unmounted", func(b *v1alpha1.VolumeBackup) bool {
				return isTrue(b, v1alpha1.ConditionStalled) && condition(b, v1alpha1.ConditionStalled).Reason == v1alpha1.ReasonPodNotRunning
			})
			if made := fc.storage.made(); len(made) > 0 {
				t.Errorf("nothing should be cut yet: %v", made)
			}
			release()
			fc.isMethod(fc.awaitComplete(b, v1alpha1.Proven), v1alpha1.MethodIdle, 1)
		})
	}
}

// unmounted is long enough after the end of a pod.
const unmounted = 10 * time.Minute

// hasEnded is what the kubelet said of a pod whose containers ended then. When the API
// server was told isn't kept: it was a moment ago.
func (fc *fakeCluster) hasEnded(pod *corev1.Pod, when metav1.Time) {
	fc.Helper()
	fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(pod), pod))
	pod.Status.Phase = corev1.PodSucceeded
	for i := range pod.Status.ContainerStatuses {
		pod.Status.ContainerStatuses[i].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: when}}
	}
	fc.must(admin.Status().Update(fc.ctx, pod))
	pod.ManagedFields = []metav1.ManagedFieldsEntry{{}} // which empties it
	fc.must(admin.Update(fc.ctx, pod))
}

// While nothing is frozen a driver may try again until the deadline.
func TestADriverThatComplainsIsWaitedForWhereNothingIsFrozen(t *testing.T) {
	complains := func(t *testing.T, f fate, cutTimeout time.Duration) (*fakeCluster, *v1alpha1.VolumeBackup) {
		fc := aFakeCluster(t)
		fc.claims("data")
		fc.storage.decide(func(string, int) fate { return f })
		fc.aManager(withOptions(func(o *options) { o.CutTimeout = cutTimeout }))
		return fc, fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data", attempts(1))
	}
	t.Run("it succeeds in time", func(t *testing.T) {
		mended := make(chan struct{})
		fc, b := complains(t, fate{complaint: "the pool is full", cut: mended}, time.Hour)
		fc.eventually("it is told", func() bool {
			return slices.ContainsFunc(fc.events(v1alpha1.ReasonNotCut), func(note string) bool { return strings.Contains(note, "data: the pool is full") })
		})
		close(mended)
		fc.isMethod(fc.awaitComplete(b, v1alpha1.Proven), v1alpha1.MethodIdle, 1)
	})
	t.Run("it doesn't", func(t *testing.T) {
		fc, b := complains(t, fate{complaint: "the pool is full", never: true}, time.Second)
		fc.awaitFailed(b, v1alpha1.ReasonQuiesceFailed, "not done within the timeout; the storage driver could not cut: data: the pool is full")
		fc.noOrphans(b)
	})
}
