package inuse

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
)

// someNodes are asked where they are set, and run these pods.
type someNodes struct{ runs []corev1.Pod }

func (n *someNodes) MayAsk(context.Context) (bool, error) { return n != nil, nil }

func (n *someNodes) Running(context.Context, string) ([]corev1.Pod, error) { return n.runs, nil }

// pod is one of namespace shop on node n that has claim data.
func pod(name string) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)}}
	p.Spec.NodeName, p.Status.Phase = "n", corev1.PodRunning
	p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	return p
}

func TestWhatIsInUse(t *testing.T) {
	const idle, hold = v1alpha1.MethodIdle, v1alpha1.MethodHold
	attaches := func(required bool) client.Object {
		return &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "d"}, Spec: storagev1.CSIDriverSpec{AttachRequired: &required}}
	}
	attached := &storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: storagev1.VolumeAttachmentSpec{
		NodeName: "n", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: ptr.To("pv")},
	}}
	node := func(uses ...corev1.UniqueVolumeName) client.Object {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{VolumesInUse: uses}}
	}
	ghost := &someNodes{runs: []corev1.Pod{pod("ghost")}}
	for name, c := range map[string]struct {
		method  v1alpha1.QuiesceMethod
		there   []client.Object
		pods    []corev1.Pod
		nodes   *someNodes
		left    []string
		onePod  bool
		doubt   string
		awaited string
	}{
		"nothing":                              {method: idle, there: []client.Object{attaches(true), node()}},
		"it is attached":                       {method: idle, there: []client.Object{attaches(true), node(), attached}, awaited: "is still attached to node n"},
		"it was detached by force":             {method: idle, there: []client.Object{attaches(true), node("kubernetes.io/csi/d^h")}, doubt: "was detached from node n"},
		"a pod reads it":                       {method: idle, there: []client.Object{attaches(true), node("kubernetes.io/csi/d^h"), attached}, pods: []corev1.Pod{pod("reader")}, doubt: "pod reader can only read"},
		"a pod reads it, nobody may ask":       {method: idle, there: []client.Object{attaches(false)}, pods: []corev1.Pod{pod("reader")}, doubt: "pod reader can only read"},
		"nobody may ask":                       {method: idle, there: []client.Object{attaches(false)}, doubt: "Lull may not ask the nodes"},
		"no node runs a forgotten pod":         {method: idle, there: []client.Object{attaches(false), node()}, nodes: &someNodes{}},
		"a node runs one":                      {method: idle, there: []client.Object{attaches(false), node()}, nodes: ghost, awaited: "pod ghost runs on node n"},
		"a node runs one beside a reader":      {method: idle, there: []client.Object{attaches(false), node()}, nodes: ghost, pods: []corev1.Pod{pod("reader")}, awaited: "pod ghost runs on node n"},
		"what is held alone":                   {method: hold, there: []client.Object{attaches(false)}, pods: []corev1.Pod{pod("held")}},
		"beside what is held":                  {method: hold, there: []client.Object{attaches(false), node()}, nodes: ghost, pods: []corev1.Pod{pod("held")}, doubt: "pod ghost runs on node n"},
		"beside it, as was seen":               {method: hold, there: []client.Object{attaches(false)}, left: []string{"yesterday"}, pods: []corev1.Pod{pod("held")}, doubt: "pod yesterday left the API"},
		"the node gives it to what is held":    {method: hold, there: []client.Object{attaches(false)}, left: []string{"yesterday"}, pods: []corev1.Pod{pod("held")}, onePod: true},
		"what is held has left the API itself": {method: hold, there: []client.Object{attaches(false)}, left: []string{"held"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &Finder{live: fake.NewClientBuilder().WithObjects(c.there...).Build(), nodes: c.nodes, clock: clocktesting.NewFakePassiveClock(noon.Add(time.Hour))}
			f.since, f.seen = noon, map[string]time.Time{}
			for _, name := range c.left {
				f.note(left(name, noon, false, "data"))
			}
			q := Question{
				Namespace: "shop", Method: c.method, Volumes: []v1alpha1.VolumeStatus{{ClaimName: "data", VolumeName: "pv", Driver: "d"}},
				Handles: map[string]string{"data": "h"}, OnePod: map[string]bool{"data": c.onePod}, Pods: c.pods, Held: []types.UID{"held"},
			}
			doubt, err := f.BeforeFreeze(context.Background(), q)
			problem := reconcile.ProblemOf(err)
			if err != nil && problem == nil || !says(doubt, c.doubt) || (problem != nil) != (c.awaited != "") || problem != nil && !strings.Contains(problem.Message, c.awaited) {
				t.Errorf("before: doubt %q, %v", doubt, err)
			}
			isAttached := strings.Contains(c.awaited, "attached") // is asked for before the freeze alone
			if doubt, err := f.AfterCut(context.Background(), q); err != nil || !isAttached && !says(doubt, c.doubt+c.awaited) {
				t.Errorf("after: doubt %q, %v", doubt, err)
			}
		})
	}
}

func says(text, words string) bool {
	return (text == "") == (words == "") && strings.Contains(text, words)
}
