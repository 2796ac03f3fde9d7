package integration

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/test/framework"
)

// fakeNodes are the nodes of a fake cluster, in the place of their kubelets.
// The zero value is asked by nobody.
type fakeNodes struct {
	mu      sync.Mutex
	allowed bool
	broken  error
	runs    []corev1.Pod
}

func (n *fakeNodes) MayAsk(context.Context) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.allowed, nil
}

func (n *fakeNodes) Running(context.Context, string) ([]corev1.Pod, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]corev1.Pod(nil), n.runs...), n.broken
}

// say has the nodes be asked, and run these.
func (n *fakeNodes) say(pods ...corev1.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.allowed, n.runs = true, pods
}

// aNode is one of the cluster that all tests share: it says what it uses.
func (fc *fakeCluster) aNode(uses ...corev1.UniqueVolumeName) *corev1.Node {
	fc.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fc.namespace}}
	fc.create(node)
	fc.Cleanup(func() { fc.delete(node) })
	node.Status.VolumesInUse = uses
	fc.must(admin.Status().Update(fc.ctx, node))
	return node
}

func (fc *fakeCluster) ghost(uid types.UID) corev1.Pod {
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: fc.namespace, Name: "ghost", UID: uid}}
}

// isSaid: the verdict's reason stands where people look first.
func (fc *fakeCluster) isSaid(b *v1alpha1.VolumeBackup, words string) {
	fc.Helper()
	for _, where := range []string{b.Status.Message, condition(b, v1alpha1.ConditionFrozen).Message} {
		if !strings.Contains(where, words) {
			fc.Errorf("should say %q: %s", words, where)
		}
	}
}

func TestAnUnmountedVolumeIsDeclaredUnlessSomethingShowsIt(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*fakeCluster)
		says   string
	}{
		"nobody may ask the nodes": {func(fc *fakeCluster) { fc.attaches(false) }, "Lull may not ask the nodes"},
		"a node doesn't answer": {func(fc *fakeCluster) {
			fc.attaches(false)
			fc.aNode()
			fc.nodes.say()
			fc.nodes.broken = errors.New("no route to host")
		}, "did not say what it runs: no route to host"},
		"it was detached by force": {func(fc *fakeCluster) {
			fc.aNode(corev1.UniqueVolumeName("kubernetes.io/csi/" + fc.driver + "^" + fc.namespace + "-data"))
		}, "which has not said that it let it go"},
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.claims("data")
			c.change(fc)
			fc.aManager()
			b := fc.awaitComplete(fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data"), v1alpha1.Declared)
			fc.isMethod(b, v1alpha1.MethodIdle, 1)
			fc.isSaid(b, c.says)
		})
	}
}

func TestAPodThatTheAPIHasForgottenIsWaitedForByTheNodesWord(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	fc.attaches(false)
	fc.aNode()
	fc.nodes.say(fc.ghost("ghost"))
	fc.aManager()
	b := fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data")
	fc.await(b, "waiting for the pod", func(b *v1alpha1.VolumeBackup) bool {
		return strings.Contains(b.Status.Message, "pod ghost runs on node")
	})
	fc.noSnapshotWasMade()
	fc.nodes.say()
	fc.await(b, "waiting until it is unmounted", func(b *v1alpha1.VolumeBackup) bool {
		return strings.Contains(b.Status.Message, "may not have unmounted them yet")
	})
	fc.noSnapshotWasMade()
	fc.isMethod(fc.awaitComplete(b, v1alpha1.Proven), v1alpha1.MethodIdle, 1)
}

func TestAPodThatTheAPIHasForgottenIsNotWaitedForForEver(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	fc.attaches(false)
	fc.aNode()
	fc.nodes.say(fc.ghost("ghost"))
	fc.aManager(impatient)
	b := fc.awaitComplete(fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data"), v1alpha1.Declared)
	fc.isMethod(b, v1alpha1.MethodIdle, 1)
	fc.isSaid(b, "pod ghost runs on node")
}

// A node that is lost never says that it let the volume go.
func TestAVolumeThatStaysAttachedIsNotWaitedForForEver(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	fc.attached("lost")
	fc.aManager(impatient)
	b := fc.awaitComplete(fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data"), v1alpha1.Declared)
	fc.isMethod(b, v1alpha1.MethodIdle, 1)
	fc.isSaid(b, "is still attached to node lost")
}

// A pod that runs, by the API, isn't idle at all, also where its node is lost.
func TestAPodThatIsBeingDeletedForEverIsNotIdle(t *testing.T) {
	fc := aFakeCluster(t)
	pod := fc.anApplication("data")
	pod.Finalizers = []string{"example.com/kubelet"}
	fc.must(admin.Update(fc.ctx, pod))
	fc.delete(pod)
	fc.aManager(impatient)
	fc.awaitFailed(fc.aBackup(fc.held), v1alpha1.ReasonPodNotRunning, "is being deleted", "or is gone", "onFailure: Continue")
	fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(pod), pod))
	pod.Finalizers = nil
	fc.must(admin.Update(fc.ctx, pod))
}

// Yesterday's pod writes while today's holds.
func TestAHoldBesideAPodThatTheAPIHasForgotten(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*fakeCluster)
		leaves  func(*fakeCluster, *corev1.Pod)
		verdict v1alpha1.Consistency
		says    string
	}{
		"is declared where it was deleted by force": {verdict: v1alpha1.Declared, says: "pod yesterday left the API at"},
		"is proven where its node had said that it ended": {
			leaves: func(fc *fakeCluster, pod *corev1.Pod) { fc.hasEnded(pod, metav1.Now()) }, verdict: v1alpha1.Proven},
		"is declared where the phase alone says so": {
			leaves: func(fc *fakeCluster, pod *corev1.Pod) {
				pod.Status.Phase = corev1.PodFailed
				fc.must(admin.Status().Update(fc.ctx, pod))
			}, verdict: v1alpha1.Declared, says: "had said that it ended"},
		"is proven where its node says that it has ended": {
			change: func(fc *fakeCluster) { fc.aNode(); fc.nodes.say() }, verdict: v1alpha1.Proven},
		"is declared where its node says that it runs": {
			change:  func(fc *fakeCluster) { fc.aNode() },
			leaves:  func(fc *fakeCluster, pod *corev1.Pod) { fc.nodes.say(fc.ghost(pod.UID)) },
			verdict: v1alpha1.Declared, says: "pod ghost runs on node"},
		"is proven where its volume isn't attached to its node any more": {
			change: func(fc *fakeCluster) { fc.attaches(true) }, verdict: v1alpha1.Proven},
		"is declared where its node still has the volume": {
			change: func(fc *fakeCluster) {
				fc.attaches(true)
				fc.aNode(corev1.UniqueVolumeName("kubernetes.io/csi/" + fc.driver + "^" + fc.namespace + "-data"))
				fc.attached("node")
			}, verdict: v1alpha1.Declared, says: "pod yesterday left the API"},
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.claims("data")
			fc.attaches(false)
			if c.change != nil {
				c.change(fc)
			}
			yesterday := fc.runs("yesterday", template("data"), nil)
			fc.runs("mysql", template("data"), nil)
			fc.aManager()
			// The manager has seen both once it has taken a backup.
			fc.awaitEnd(fc.aBackup(fc.held))
			if c.leaves != nil {
				c.leaves(fc, yesterday)
			}
			fc.delete(yesterday)
			b := fc.awaitVerdict(c.verdict)
			fc.isMethod(b, v1alpha1.MethodHold, 1)
			fc.isSaid(b, c.says)
		})
	}
}

// awaitVerdict takes backups until one has the verdict: a manager may see a
// moment late that a pod has left.
func (fc *fakeCluster) awaitVerdict(verdict v1alpha1.Consistency, change ...framework.Change) *v1alpha1.VolumeBackup {
	fc.Helper()
	for deadline := time.Now().Add(patience); ; {
		b := fc.awaitEnd(fc.aBackup(append(change, fc.held)...))
		if b.Status.Consistency == verdict || time.Now().After(deadline) {
			return fc.awaitComplete(b, verdict)
		}
	}
}

// A node gives a ReadWriteOncePod volume to one pod alone: that today's pod runs
// there shows that yesterday's has let it go.
func TestAnExclusiveVolumeShowsThatAForgottenPodHasLetItGo(t *testing.T) {
	fc := aFakeCluster(t)
	fc.attaches(false)
	fc.exclusiveClaim("data")
	fc.claims("log")
	yesterday := fc.runs("yesterday", template("data", "log"), nil)
	fc.aManager()
	fc.awaitEnd(fc.aBackupOf(v1alpha1.KindPod, "yesterday", fc.held))
	fc.delete(yesterday)
	fc.runs("mysql", template("data", "log"), nil)
	fc.isSaid(fc.awaitVerdict(v1alpha1.Declared, including("log")), "pod yesterday left the API")
	fc.awaitComplete(fc.aBackup(fc.held, including("data")), v1alpha1.Proven)
}

func including(claim string) framework.Change {
	return func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Include = []string{claim} }
}

func (fc *fakeCluster) attached(node string) {
	fc.Helper()
	attached := &storagev1.VolumeAttachment{
		ObjectMeta: metav1.ObjectMeta{Name: fc.namespace},
		Spec: storagev1.VolumeAttachmentSpec{
			Attacher: fc.driver, NodeName: node,
			Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: ptr.To(fc.namespace + "-data")},
		},
	}
	fc.must(admin.Create(fc.ctx, attached))
	fc.Cleanup(func() { fc.delete(attached) })
}

// exclusiveClaim is one of a volume that a node gives to one pod alone.
func (fc *fakeCluster) exclusiveClaim(name string) {
	fc.Helper()
	fc.claims(name)
	volume := &corev1.PersistentVolume{}
	fc.must(admin.Get(fc.ctx, types.NamespacedName{Name: fc.namespace + "-" + name}, volume))
	volume.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
	fc.must(admin.Update(fc.ctx, volume))
}

// The nodes are asked only where an administrator has given that right, which
// is no part of the manager's role.
func TestTheNodesAreAskedOnlyByWhoMay(t *testing.T) {
	ctx := context.Background()
	asks := func(user string) bool {
		kubelets, err := live.NewKubelets(configOf(user))
		if err != nil {
			t.Fatal(err)
		}
		may, err := kubelets.MayAsk(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return may
	}
	if asks(asManager.Impersonate.UserName) {
		t.Error("the manager's own role should not let it ask")
	}
	objects, err := framework.ReadObjects(manifests + "/nodes/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range objects {
		if obj.GetKind() == "ClusterRole" {
			if err := admin.Create(ctx, obj); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = admin.Delete(ctx, obj) })
		}
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "who-may-ask-the-nodes"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "lull-nodes"},
		Subjects:   []rbacv1.Subject{{Kind: "User", Name: "trusted"}},
	}
	if err := admin.Create(ctx, binding); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Delete(ctx, binding) })
	for deadline := time.Now().Add(patience); !asks("trusted"); { // RBAC is told by a watch
		if time.Now().After(deadline) {
			t.Fatal("who is bound to the role should be let ask")
		}
	}
}
