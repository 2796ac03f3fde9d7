// Package v1alpha1 is the API of Lull on the wire, group lull.dev: the fields,
// their validation and the names of conditions, reasons, annotations and
// labels. It is data only and imports nothing else of this project.
//
// Validation that needs only the object is schema and CEL in the CRD. What
// only the cluster can tell, such as a workload that isn't there, is a
// condition on the object.
//
// +kubebuilder:object:generate=true
// +groupName=lull.dev
package v1alpha1
