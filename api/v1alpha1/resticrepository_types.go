package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ResticRepository is a repository of restic that backups of its namespace are
// exported to and restored from.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rr,categories=lull
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Healthy",type=string,JSONPath=`.status.conditions[?(@.type=="Healthy")].status`
// +kubebuilder:printcolumn:name="Snapshots",type=integer,JSONPath=`.status.snapshots`
// +kubebuilder:printcolumn:name="Size",type=string,JSONPath=`.status.size`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,priority=1
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="the name of a repository is a label's value: at most 63 characters"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.copyTo) || self.spec.copyTo.all(c, c.repositoryRef.name != self.metadata.name)",message="a repository isn't copied to itself: name another ResticRepository of this namespace in spec.copyTo"
type ResticRepository struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says where it is and how it is looked after.
	Spec ResticRepositorySpec `json:"spec"`

	// Status is what was observed.
	// +optional
	Status ResticRepositoryStatus `json:"status,omitempty"`
}

// StatusConditions are the conditions in its status, to read and to set.
func (r *ResticRepository) StatusConditions() *[]metav1.Condition { return &r.Status.Conditions }

// ResticRepositoryList is a list of ResticRepositories.
// +kubebuilder:object:root=true
type ResticRepositoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ResticRepository `json:"items"`
}

// ResticRepositorySpec says where a repository is and how it is looked after.
type ResticRepositorySpec struct {
	// Backend is where the repository is. Another place is another repository.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the place of a repository can't be changed: create another ResticRepository"
	Backend RepositoryBackend `json:"backend"`

	// CredentialsSecretRef names the Secret with the keys to the backend, each
	// named as restic's environment variable: AWS_ACCESS_KEY_ID and so on. Other
	// keys are not read.
	// +optional
	CredentialsSecretRef *SecretReference `json:"credentialsSecretRef,omitempty"`

	// PasswordSecretRef names the Secret with the password that the repository is
	// encrypted with. Without it nobody can read the repository any more. Where
	// another one is named the repository is given that password, and the one that it
	// had is taken away.
	PasswordSecretRef SecretKeyReference `json:"passwordSecretRef"`

	// CASecretRef names a Secret with certificates, in PEM, that the backend's is
	// signed by. Default: the certificates that everybody trusts.
	// +optional
	CASecretRef *SecretKeyReference `json:"caSecretRef,omitempty"`

	// CopyTo are the repositories that have a copy of each export into this one, made
	// within an hour after it. What was copied into this one from another isn't copied
	// on, so that chains and rings come to an end. What is kept in a copy is that
	// repository's own: what is forgotten here stays there.
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:XValidation:rule="self.all(c, self.exists_one(d, d.repositoryRef.name == c.repositoryRef.name))",message="name each repository once in spec.copyTo"
	// +listType=atomic
	// +optional
	CopyTo []RepositoryCopy `json:"copyTo,omitempty"`

	// Concurrency is how many exports and restores may use it at once.
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	// +optional
	Concurrency int32 `json:"concurrency,omitempty"`

	// Maintenance says when it is looked after. Default: never.
	// +optional
	Maintenance RepositoryMaintenance `json:"maintenance,omitempty"`

	// Mover says how the pods run that move data.
	// +optional
	Mover MoverSpec `json:"mover,omitempty"`
}

// RepositoryCopy is a repository that exports are copied to.
type RepositoryCopy struct {
	// RepositoryRef names a ResticRepository of the same namespace. Of two that need
	// the same keys, as two in S3, both name the same Secret: restic knows one set of
	// keys at a time.
	RepositoryRef RepositoryReference `json:"repositoryRef"`
}

// RepositoryMaintenance says when a repository is looked after. Each task is alone
// in the repository: it waits for exports and restores, and they for it. Times are
// in UTC.
type RepositoryMaintenance struct {
	// Prune removes the data that no snapshot uses any more. Of a repository that a
	// check has found damaged nothing is removed.
	// +optional
	Prune *PruneMaintenance `json:"prune,omitempty"`
	// Check sees whether all is there that the snapshots need.
	// +optional
	Check *CheckMaintenance `json:"check,omitempty"`
}

// PruneMaintenance says when a repository is pruned.
type PruneMaintenance struct {
	Schedule MaintenanceSchedule `json:"schedule"`
}

// CheckMaintenance says when a repository is checked.
type CheckMaintenance struct {
	Schedule MaintenanceSchedule `json:"schedule"`

	// ReadData is how much of the data is read and verified each time, in percent:
	// one part after another, until all was read. Default: none.
	// +kubebuilder:validation:MaxLength=4
	// +kubebuilder:validation:XValidation:rule="self.matches('^([1-9][0-9]?|100)%$')",message="write a share of the data, from 1% to 100%"
	// +optional
	ReadData string `json:"readData,omitempty"`
}

// MaintenanceSchedule is a cron expression of five fields, or one of @daily, @weekly,
// @monthly, @yearly, or @every with a duration.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
// +kubebuilder:validation:XValidation:rule="self.matches('^\\\\s*@') || !self.matches('^\\\\s*([^\\\\s]+\\\\s+){5}[^\\\\s]+\\\\s*$')",messageExpression="'a schedule has five fields, without seconds: write ' + self.find('[^\\\\s]+([\\\\s]+[^\\\\s]+){4}[\\\\s]*$')"
// +kubebuilder:validation:XValidation:rule="self.matches('^\\\\s*@') || self.matches('^\\\\s*([^\\\\s]+\\\\s+){4,5}[^\\\\s]+\\\\s*$')",message="a schedule has five fields: minute hour day-of-month month day-of-week, as in 0 4 * * 0, or is one of @daily, @weekly, @monthly, @yearly, @every 24h"
type MaintenanceSchedule string

// RepositoryBackend is where a repository is, one of its fields.
// +kubebuilder:validation:XValidation:rule="[has(self.s3), has(self.azure), has(self.gcs), has(self.b2), has(self.swift), has(self.rest), has(self.sftp), has(self.volume)].filter(is, is).size() == 1",message="write exactly one of s3, azure, gcs, b2, swift, rest, sftp and volume"
type RepositoryBackend struct {
	// +optional
	S3 *S3Backend `json:"s3,omitempty"`
	// +optional
	Azure *ContainerBackend `json:"azure,omitempty"`
	// +optional
	GCS *BucketBackend `json:"gcs,omitempty"`
	// +optional
	B2 *BucketBackend `json:"b2,omitempty"`
	// +optional
	Swift *ContainerBackend `json:"swift,omitempty"`
	// +optional
	REST *RESTBackend `json:"rest,omitempty"`
	// +optional
	SFTP *SFTPBackend `json:"sftp,omitempty"`
	// +optional
	Volume *VolumeBackend `json:"volume,omitempty"`
}

// ObjectName is the name of a bucket or a container.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=255
// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9][-A-Za-z0-9._]*$')",message="write the name of the bucket or container alone: letters, digits, '-', '.' and '_'"
type ObjectName string

// RepositoryPath is a path below the place of a backend, without a slash at its
// beginning or end.
// +kubebuilder:validation:MaxLength=512
// +kubebuilder:validation:XValidation:rule="self.matches('^([-A-Za-z0-9._~+=@]+(/[-A-Za-z0-9._~+=@]+)*)?$') && !self.matches('(^|/)[.][.]?(/|$)')",message="write a path of letters, digits and -._~+=@, with a slash between its parts and none around, as prod/offsite"
type RepositoryPath string

// S3Backend is a bucket of S3, or of what speaks like it.
type S3Backend struct {
	// Endpoint is the URL of the server. Default: that of AWS.
	// +kubebuilder:default="https://s3.amazonaws.com"
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\\\\[[0-9A-Fa-f:.]+\\\\])(:[0-9]{1,5})?/?$')",message="write the server alone, as https://s3.example.com or http://minio.storage:9000: the bucket and the path in it are bucket and prefix"
	// +optional
	Endpoint string `json:"endpoint,omitempty"`
	// Bucket that the repository is in. It has to be there.
	Bucket ObjectName `json:"bucket"`
	// Prefix is the path in the bucket.
	// +optional
	Prefix RepositoryPath `json:"prefix,omitempty"`
	// Region of the bucket, where the server wants to know it.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-A-Za-z0-9]*$')",message="write the name of a region, as eu-central-1"
	// +optional
	Region string `json:"region,omitempty"`
}

// ContainerBackend is a container of Azure or Swift.
type ContainerBackend struct {
	// Container that the repository is in.
	Container ObjectName `json:"container"`
	// Prefix is the path in the container.
	// +optional
	Prefix RepositoryPath `json:"prefix,omitempty"`
}

// BucketBackend is a bucket of Google or Backblaze.
type BucketBackend struct {
	// Bucket that the repository is in.
	Bucket ObjectName `json:"bucket"`
	// Prefix is the path in the bucket.
	// +optional
	Prefix RepositoryPath `json:"prefix,omitempty"`
}

// RESTBackend is a rest-server.
type RESTBackend struct {
	// URL of the repository at the server. The user and its password belong into
	// the Secret of the keys, as RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.contains('@')",message="a URL has no user and password in it: write them into the Secret of credentialsSecretRef, as RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD"
	// +kubebuilder:validation:XValidation:rule="self.contains('@') || self.matches('^https?://([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\\\\[[0-9A-Fa-f:.]+\\\\])(:[0-9]{1,5})?(/[-A-Za-z0-9._~+=]+)*/?$')",message="write a URL, as https://backup.example.com:8000/shop"
	URL string `json:"url"`
}

// SFTPBackend is a folder of a host that is reached by SSH.
type SFTPBackend struct {
	// Host name or address.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$')",message="write the name or the address of the host alone; its port is port"
	Host string `json:"host"`
	// Port of its SSH server.
	// +kubebuilder:default=22
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port int32 `json:"port,omitempty"`
	// User to log in as.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_][-A-Za-z0-9._]*$')",message="write the name of the user alone: letters, digits and -._"
	User string `json:"user"`
	// Path of the folder: from the root where it begins with a slash, else from
	// the user's own folder.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^/?[-A-Za-z0-9._~+=@]+(/[-A-Za-z0-9._~+=@]+)*$') && !self.matches('(^|/)[.][.]?(/|$)')",message="write a path of letters, digits and -._~+=@, as /srv/backups/shop"
	Path string `json:"path"`
}

// VolumeBackend is a folder of a claim in the repository's namespace.
type VolumeBackend struct {
	// ClaimName is the PersistentVolumeClaim.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ClaimName string `json:"claimName"`
	// Path of the folder in it. Empty is all of it, for a repository that is there
	// already: restic makes none there, since a mover may not change the folder.
	// +kubebuilder:default=restic
	// +optional
	Path RepositoryPath `json:"path,omitempty"`
}

// SecretReference names a Secret of the object's own namespace.
type SecretReference struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// SecretKeyReference names a key of a Secret of the object's own namespace.
type SecretKeyReference struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Key of the Secret.
	// +kubebuilder:default=password
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="write a key of the Secret: letters, digits, '-', '_' and '.'"
	// +optional
	Key string `json:"key,omitempty"`
}

// MoverSpec says how the pods run that move data to and from a repository.
// +kubebuilder:validation:XValidation:rule="!has(self.privileged) || !self.privileged || !has(self.securityContext)",message="a privileged mover is root: write spec.mover.privileged, or spec.mover.securityContext for one that isn't"
type MoverSpec struct {
	// Resources that they ask for and are limited to.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
	// NodeSelector selects the nodes that they run on.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// Tolerations of theirs.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// ServiceAccountName is their account, for clouds that know who may reach the
	// backend by it. They get no token for the API server.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// Privileged has them run as root, with the capabilities to read every file and
	// to give a restored one its owner. It counts only in a namespace with the
	// annotation lull.dev/privileged-movers: "true", which its administrator sets.
	// +optional
	Privileged bool `json:"privileged,omitempty"`
	// SecurityContext says as whom they run, by runAsUser, runAsGroup and
	// supplementalGroups. The user goes before the one that an application's pods name,
	// and the groups are added to theirs. Nothing else of a mover's rights can be
	// changed.
	// +kubebuilder:validation:XValidation:rule="!has(self.runAsUser) || self.runAsUser != 0",message="runAsUser may not be 0: write spec.mover.privileged: true for a mover that is root, and have an administrator annotate the namespace with lull.dev/privileged-movers=true"
	// +kubebuilder:validation:XValidation:rule="(!has(self.runAsUser) || self.runAsUser >= 0 && self.runAsUser <= 2147483647) && (!has(self.runAsGroup) || self.runAsGroup >= 0 && self.runAsGroup <= 2147483647)",message="a user or a group is a number from 0 to 2147483647"
	// +kubebuilder:validation:XValidation:rule="!has(self.fsGroup) && !has(self.fsGroupChangePolicy)",message="leave fsGroup and fsGroupChangePolicy out: a volume that is exported keeps its groups, and one that is restored has the fsGroup of the application's pods. Groups that may read the files belong into supplementalGroups"
	// +kubebuilder:validation:XValidation:rule="!has(self.runAsNonRoot) && !has(self.seccompProfile) && !has(self.appArmorProfile) && !has(self.seLinuxOptions) && !has(self.seLinuxChangePolicy) && !has(self.supplementalGroupsPolicy) && !has(self.sysctls) && !has(self.windowsOptions)",message="write runAsUser, runAsGroup and supplementalGroups alone: all else is as the Pod Security level restricted wants it"
	// +optional
	SecurityContext *corev1.PodSecurityContext `json:"securityContext,omitempty"`
	// Cache has restic's cache be in claims, which are made and removed for it: one for
	// each claim that is exported and one for looking after the repository, which are
	// there for the next time, and one for each claim while it is restored. Default: on
	// the node, at most 8Gi, and gone with its pod.
	// +optional
	Cache *MoverCache `json:"cache,omitempty"`
	// UploadLimit is the most that each sends, in bytes a second. Default: no
	// limit.
	// +optional
	UploadLimit *resource.Quantity `json:"uploadLimit,omitempty"`
	// ReadConcurrency is how many files each reads at once, restic's default
	// where it is left out.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	// +optional
	ReadConcurrency int32 `json:"readConcurrency,omitempty"`
}

// MoverCache says how the claims of restic's cache are. Where it is changed they are
// made anew.
type MoverCache struct {
	// StorageClassName is their class. Default: that of the cluster.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`
	// Size of each. Where it is too small a mover works without a cache.
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).isGreaterThan(quantity('0'))",message="write the size of a volume, as 10Gi"
	Size resource.Quantity `json:"size"`
}
