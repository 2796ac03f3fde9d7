package cut

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

// What the API says isn't what a node does: a pod that is deleted by force, or
// with a grace period of zero, leaves the API while its processes write on. So
// that a node has let a volume go is known by either of
//
//	attachments      the driver attaches its volumes, this one is attached to no
//	                 node, and no node says that it has it in use
//	the nodes' word  every node was asked what runs there, and none runs a pod
//	                 that the API has forgotten

// Attaches is true for a driver whose volumes are attached to a node before a
// pod there can use them. driver is nil where nobody has described it.
func Attaches(driver *storagev1.CSIDriver) bool {
	return driver != nil && ptr.Deref(driver.Spec.AttachRequired, true)
}

// UsedBy is a node that says of itself that it has a volume in use, empty where
// none does. A node says so before it mounts a volume and until it has unmounted
// it (k8s.io/kubernetes, pkg/kubelet/volumemanager, GetVolumesInUse), and what
// it said last stands while it doesn't answer: by that a volume that was
// detached by force is told from one that was let go. Only volumes that are
// attached are said of.
func UsedBy(driver, handle string, nodes []corev1.Node) string {
	volume := corev1.UniqueVolumeName("kubernetes.io/csi/" + driver + "^" + handle)
	for i := range nodes {
		if slices.Contains(nodes[i].Status.VolumesInUse, volume) {
			return nodes[i].Name
		}
	}
	return ""
}

// AttachedTo is true for a volume that is attached to a node, or on its way.
func AttachedTo(volume, node string, attachments []storagev1.VolumeAttachment) bool {
	return slices.ContainsFunc(attachments, func(a storagev1.VolumeAttachment) bool {
		return ptr.Deref(a.Spec.Source.PersistentVolumeName, "") == volume && a.Spec.NodeName == node
	})
}

// Word is what the nodes say of themselves.
type Word struct {
	// Silent says why not all of them have spoken, empty where all have.
	Silent string
	// Forgotten are the pods of a namespace that run and that the API has
	// forgotten.
	Forgotten []workload.Departure
}

// Forgotten are those of the pods that run, by nodes, that the API doesn't know,
// or knows as finished though their nodes haven't said so. known are all pods of
// the namespace; they have to be read after the nodes were asked.
func Forgotten(running map[string][]corev1.Pod, known []corev1.Pod) []workload.Departure {
	expected := map[types.UID]bool{}
	for i := range known {
		p := &known[i]
		if !workload.IsFinished(p) || workload.HasEnded(p) {
			expected[p.UID] = true
			// What a node runs by its own files has a UID of its own there.
			expected[types.UID(p.Annotations[corev1.MirrorPodAnnotationKey])] = true
		}
	}
	var forgotten []workload.Departure
	for _, node := range slices.Sorted(maps.Keys(running)) {
		for _, p := range running[node] {
			if !expected[p.UID] {
				forgotten = append(forgotten, workload.Departure{Namespace: p.Namespace, Pod: p.Name, Node: node, UID: p.UID})
			}
		}
	}
	return forgotten
}

// NotEnded is the doubt about a pod that mounts one of the claims and is called
// finished, though its node hasn't said that it ended. It is empty where there
// is none.
func NotEnded(pods []corev1.Pod, claims []string) string {
	for i := range pods {
		if p := &pods[i]; workload.IsFinished(p) && !workload.HasEnded(p) && workload.Mounts(p, claims...) {
			return fmt.Sprintf("pod %s is called %s, and its node %s has not said that its containers have ended: it may write to the volumes still. %s", p.Name, p.Status.Phase, p.Spec.NodeName, howToAsk)
		}
	}
	return ""
}

// howToAsk is the way out where the API alone can't tell.
const howToAsk = "Let Lull ask the nodes what runs there (deploy/nodes, see docs/operating.md) to have it proven"

// NobodySays is the doubt about volumes that no pod mounts, by the API, while no
// node says so. claims are theirs.
func NobodySays(claims []string, silent string) string {
	return fmt.Sprintf("no pod had the volumes mounted, by what the API knows, but a pod that was deleted by force may run on: the driver of %s attaches nothing, which would show it, and %s. %s", names.List(claims), silent, howToAsk)
}

// DetachedByForce is the doubt about a volume that a node says it uses while it
// is attached nowhere.
func DetachedByForce(volume, node string) string {
	return fmt.Sprintf("PersistentVolume %s was detached from node %s, which has not said that it let it go: what was written there last may be missing", volume, node)
}

// MayWrite is the doubt about volumes that are held, but for a pod that the API
// has forgotten.
func MayWrite(d workload.Departure) string {
	if d.At.IsZero() {
		return fmt.Sprintf("pod %s runs on node %s though the API has forgotten it, and may write to the volumes: wait until it has ended", d.Pod, d.Node)
	}
	return fmt.Sprintf("pod %s left the API at %s before its node %s had said that it ended: it may write to the volumes still. %s",
		d.Pod, d.At.UTC().Format("15:04:05 MST"), d.Node, howToAsk)
}
