package restore

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Manager is a tool that would undo a change to an object that it manages.
type Manager struct {
	// Tool is its name.
	Tool string
	// Mark is the label, annotation or owner that says so.
	Mark string
	// Certain is false for a mark that other tools and people set too.
	Certain bool
}

func (m *Manager) String() string { return fmt.Sprintf("%s (%s)", m.Tool, m.Mark) }

// mark is a label or annotation of a tool.
type mark struct{ tool, key, value string }

var labelMarks = []mark{
	{tool: "Argo CD", key: "argocd.argoproj.io/instance"},
	{tool: "Flux", key: "kustomize.toolkit.fluxcd.io/name"},
	{tool: "Flux", key: "helm.toolkit.fluxcd.io/name"},
	{tool: "Helm", key: "app.kubernetes.io/managed-by", value: "Helm"},
}

var annotationMarks = []mark{
	{tool: "Argo CD", key: "argocd.argoproj.io/tracking-id"},
	{tool: "Argo CD", key: "argocd.argoproj.io/installation-id"},
	{tool: "Helm", key: "meta.helm.sh/release-name"},
}

// instanceLabel is what Argo CD tracks by unless it is told otherwise
// (https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/).
// Many manifests carry it for people only.
const instanceLabel = "app.kubernetes.io/instance"

// ManagedBy finds the tool that manages an object by the marks that it leaves,
// nil where there is none.
func ManagedBy(obj metav1.ObjectMeta) *Manager {
	if m := findMark("label", obj.Labels, labelMarks); m != nil {
		return m
	}
	if m := findMark("annotation", obj.Annotations, annotationMarks); m != nil {
		return m
	}
	if owner := metav1.GetControllerOfNoCopy(&obj); owner != nil {
		return &Manager{Tool: owner.Kind + " " + owner.Name, Mark: "its controller", Certain: true}
	}
	if value, ok := obj.Labels[instanceLabel]; ok {
		return &Manager{Tool: "Argo CD", Mark: fmt.Sprintf("perhaps: label %s: %s", instanceLabel, value), Certain: appliedByArgo(obj)}
	}
	return nil
}

func findMark(what string, values map[string]string, marks []mark) *Manager {
	for _, m := range marks {
		if value, ok := values[m.key]; ok && (m.value == "" || m.value == value) {
			return &Manager{Tool: m.tool, Mark: fmt.Sprintf("%s %s: %s", what, m.key, value), Certain: true}
		}
	}
	return nil
}

func appliedByArgo(obj metav1.ObjectMeta) bool {
	for _, f := range obj.ManagedFields {
		if strings.HasPrefix(f.Manager, "argocd") {
			return true
		}
	}
	return false
}
