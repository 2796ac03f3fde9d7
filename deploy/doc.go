// Package deploy has those of the manifests in it that bound who may do what: the
// operator compares what is in the cluster with them. What it is installed by is
// kustomization.yaml.
package deploy

import "embed"

// Bounds are the CRDs and the admission policies with their bindings, each in its
// folder.
//
//go:embed admission/*.yaml crd/*.yaml
var Bounds embed.FS

// Account and Image are what the manifests say of the operator before kustomize
// writes its own: the account, as the API server calls it, and the image.
const (
	Account = "system:serviceaccount:lull-system:lull-manager"
	Image   = "lull.dev/lull:dev"
)
