package workload

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
)

// ToolLabels are the labels by which Argo CD, Flux and Helm know their objects.
var ToolLabels = []string{
	"argocd.argoproj.io/instance", "app.kubernetes.io/instance",
	"kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace",
	"helm.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/namespace",
	"app.kubernetes.io/managed-by",
}

// Unmarked are the labels without those by which a tool knows its objects: a copy
// that carried them would be pruned. It is never nil.
func Unmarked(labels map[string]string) map[string]string {
	kept := maps.Clone(labels)
	if kept == nil {
		kept = map[string]string{}
	}
	for _, key := range ToolLabels {
		delete(kept, key)
	}
	return kept
}

// ToolAnnotations are the annotations by which they do, and what kubectl has applied.
var ToolAnnotations = []string{
	"argocd.argoproj.io/tracking-id", "argocd.argoproj.io/installation-id",
	"meta.helm.sh/release-name", "meta.helm.sh/release-namespace",
	corev1.LastAppliedConfigAnnotation,
}

// UnmarkedAnnotations are the annotations without those.
func UnmarkedAnnotations(annotations map[string]string) map[string]string {
	kept := maps.Clone(annotations)
	for _, key := range ToolAnnotations {
		delete(kept, key)
	}
	return kept
}
