package cut

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func TestAttaches(t *testing.T) {
	described := func(required *bool) *storagev1.CSIDriver {
		return &storagev1.CSIDriver{Spec: storagev1.CSIDriverSpec{AttachRequired: required}}
	}
	for name, c := range map[string]struct {
		driver *storagev1.CSIDriver
		want   bool
	}{
		"nobody has described it": {nil, false},
		"by default":              {described(nil), true},
		"it does":                 {described(ptr.To(true)), true},
		"it doesn't":              {described(ptr.To(false)), false},
	} {
		if got := Attaches(c.driver); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestUsedBy(t *testing.T) {
	nodes := []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "idle"}}, {ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{VolumesInUse: []corev1.UniqueVolumeName{"kubernetes.io/csi/d^h"}}}}
	for volume, want := range map[[2]string]string{{"d", "h"}: "n", {"d", "other"}: "", {"e", "h"}: ""} {
		if got := UsedBy(volume[0], volume[1], nodes); got != want {
			t.Errorf("%v is used by %q", volume, got)
		}
	}
}

func TestForgotten(t *testing.T) {
	pod := func(uid types.UID, change ...func(*corev1.Pod)) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: string(uid), UID: uid}}
		p.Spec.NodeName = "n"
		for _, c := range change {
			c(&p)
		}
		return p
	}
	failed := func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }
	ended := func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
	}
	mirror := func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "hash"} }
	for name, c := range map[string]struct {
		running []corev1.Pod
		known   []corev1.Pod
		want    bool
	}{
		"nothing runs":                         {known: []corev1.Pod{pod("a")}},
		"what the API knows":                   {running: []corev1.Pod{pod("a")}, known: []corev1.Pod{pod("a")}},
		"what it doesn't":                      {running: []corev1.Pod{pod("a")}, known: []corev1.Pod{pod("b")}, want: true},
		"what it calls failed":                 {running: []corev1.Pod{pod("a")}, known: []corev1.Pod{pod("a", failed)}, want: true},
		"what ended a moment ago":              {running: []corev1.Pod{pod("a")}, known: []corev1.Pod{pod("a", failed, ended)}},
		"what a node runs by files of its own": {running: []corev1.Pod{pod("hash")}, known: []corev1.Pod{pod("a", mirror)}},
	} {
		got := Forgotten(map[string][]corev1.Pod{"n": c.running}, c.known)
		if (len(got) > 0) != c.want || c.want && got[0].Node != "n" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestNotEnded(t *testing.T) {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	p.Spec.NodeName, p.Status.Phase = "n", corev1.PodFailed
	p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	if NotEnded([]corev1.Pod{p}, []string{"data"}) == "" {
		t.Error("its node hasn't said that it ended")
	}
	if NotEnded([]corev1.Pod{p}, []string{"log"}) != "" {
		t.Error("it mounts another claim")
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
	if NotEnded([]corev1.Pod{p}, []string{"data"}) != "" {
		t.Error("its node has")
	}
}
