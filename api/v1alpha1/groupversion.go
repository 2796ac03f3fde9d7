package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every kind in this package.
var GroupVersion = schema.GroupVersion{Group: "lull.dev", Version: "v1alpha1"}

// AddToScheme registers the kinds of this package.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&VolumeBackup{}, &VolumeBackupList{},
		&VolumeRestore{}, &VolumeRestoreList{},
		&SnapshotPolicy{}, &SnapshotPolicyList{},
		&ClusterSnapshotPolicy{}, &ClusterSnapshotPolicyList{},
		&ResticRepository{}, &ResticRepositoryList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
