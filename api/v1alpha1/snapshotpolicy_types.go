package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SnapshotPolicy says when which applications of its namespace are backed up,
// and which backups are kept.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=sp,categories=lull
// +kubebuilder:printcolumn:name="Schedule",type=string,JSONPath=`.spec.schedule`
// +kubebuilder:printcolumn:name="Suspended",type=boolean,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Applications",type=integer,JSONPath=`.status.applicationCount`
// +kubebuilder:printcolumn:name="Last-Success",type=date,JSONPath=`.status.lastSuccessTime`
// +kubebuilder:printcolumn:name="Next",type=string,JSONPath=`.status.nextScheduleTime`
// +kubebuilder:printcolumn:name="Healthy",type=string,JSONPath=`.status.conditions[?(@.type=="Healthy")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,priority=1
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="the name of a policy is a label's value: at most 63 characters"
type SnapshotPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says when, who and what is kept.
	Spec SnapshotPolicySpec `json:"spec"`

	// Status is what was observed.
	// +optional
	Status SnapshotPolicyStatus `json:"status,omitempty"`
}

// StatusConditions are the conditions in its status, to read and to set.
func (p *SnapshotPolicy) StatusConditions() *[]metav1.Condition { return &p.Status.Conditions }

// SnapshotPolicyList is a list of SnapshotPolicies.
// +kubebuilder:object:root=true
type SnapshotPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SnapshotPolicy `json:"items"`
}

// ClusterSnapshotPolicy says the same for applications of many namespaces.
// Backups are made in each application's own.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=csp,categories=lull
// +kubebuilder:printcolumn:name="Schedule",type=string,JSONPath=`.spec.schedule`
// +kubebuilder:printcolumn:name="Suspended",type=boolean,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Applications",type=integer,JSONPath=`.status.applicationCount`
// +kubebuilder:printcolumn:name="Last-Success",type=date,JSONPath=`.status.lastSuccessTime`
// +kubebuilder:printcolumn:name="Next",type=string,JSONPath=`.status.nextScheduleTime`
// +kubebuilder:printcolumn:name="Healthy",type=string,JSONPath=`.status.conditions[?(@.type=="Healthy")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,priority=1
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="the name of a policy is a label's value: at most 63 characters"
type ClusterSnapshotPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says when, who and what is kept.
	Spec ClusterSnapshotPolicySpec `json:"spec"`

	// Status is what was observed.
	// +optional
	Status SnapshotPolicyStatus `json:"status,omitempty"`
}

// StatusConditions are the conditions in its status, to read and to set.
func (p *ClusterSnapshotPolicy) StatusConditions() *[]metav1.Condition { return &p.Status.Conditions }

// ClusterSnapshotPolicyList is a list of ClusterSnapshotPolicies.
// +kubebuilder:object:root=true
type ClusterSnapshotPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterSnapshotPolicy `json:"items"`
}

// ClusterSnapshotPolicySpec is that of a SnapshotPolicy for many namespaces.
//
// +kubebuilder:validation:XValidation:rule="!has(self.applications) || !has(self.applications.refs) || self.applications.refs.all(r, !has(r.kind) || r.kind != 'Pod')",message="a policy of the cluster takes no pods: write the workload that makes them, or write the pod into a SnapshotPolicy of its namespace"
type ClusterSnapshotPolicySpec struct {
	// NamespaceSelector selects the namespaces by their labels; {} is all of them.
	// A namespace with the annotation lull.dev/policies: none is left out, but for
	// what carries the annotation lull.dev/policy. Default: all.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	SnapshotPolicySpec `json:",inline"`
}

// SnapshotPolicySpec says when, who and what is kept.
//
// +kubebuilder:validation:XValidation:rule="!has(self.retention) || !has(self.retention.exports) || has(self.template) && has(self.template.spec) && has(self.template.spec.export)",message="retention.exports is about what is exported, and the template exports nothing: write template.spec.export: {repositoryRef: {name: ...}}, or leave retention.exports out"
type SnapshotPolicySpec struct {
	// Schedule is a cron expression of five fields, or one of @hourly, @daily,
	// @weekly, @monthly, @yearly, or @every with a duration of a minute at least.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="!self.matches('^\\\\s*(?i)(cron_)?tz=')",message="a schedule has no time zone in it: write that as timeZone"
	// +kubebuilder:validation:XValidation:rule="self.matches('^\\\\s*@') || self.matches('(?i)tz=') || !self.matches('^\\\\s*([^\\\\s]+\\\\s+){5}[^\\\\s]+\\\\s*$')",messageExpression="'a schedule has five fields, without seconds: write ' + self.find('[^\\\\s]+([\\\\s]+[^\\\\s]+){4}[\\\\s]*$')"
	// +kubebuilder:validation:XValidation:rule="self.matches('^\\\\s*@') || self.matches('(?i)tz=') || self.matches('^\\\\s*([^\\\\s]+\\\\s+){4,5}[^\\\\s]+\\\\s*$')",message="a schedule has five fields: minute hour day-of-month month day-of-week, as in 0 2 * * *, or is one of @hourly, @daily, @weekly, @monthly, @yearly, @every 1h"
	Schedule string `json:"schedule"`

	// TimeZone of the schedule and of the days, weeks and so on of the retention,
	// by its IANA name.
	// +kubebuilder:default="Etc/UTC"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +optional
	TimeZone string `json:"timeZone,omitempty"`

	// Jitter spreads the applications over a window that begins when they are due,
	// each at its own, always the same, moment. Whole seconds, shorter than the
	// schedule's shortest gap.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(s|m|h))+$') && duration(self) <= duration('8760h')",message="write a duration, such as 90s or 15m"
	// +optional
	Jitter *metav1.Duration `json:"jitter,omitempty"`

	// Suspend stops the making of backups, and their removal. What falls due
	// meanwhile isn't made up for.
	// +kubebuilder:default=false
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// StartingDeadline is how late a run that was missed may still start, 10s at
	// least. Older ones are skipped and counted.
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(s|m|h))+$') && duration(self) >= duration('10s') && duration(self) <= duration('8760h')",message="write a duration of 10s or more, such as 30m or 1h"
	// +optional
	StartingDeadline *metav1.Duration `json:"startingDeadline,omitempty"`

	// Concurrency says what becomes of a run that is due while the application's
	// last one goes on: Forbid has it wait, within the StartingDeadline, Allow
	// runs them side by side.
	// +kubebuilder:default=Forbid
	// +optional
	Concurrency Concurrency `json:"concurrency,omitempty"`

	// Applications are who is backed up, together with whatever carries the
	// annotation lull.dev/policy with the policy's name.
	// +kubebuilder:default={}
	// +optional
	Applications PolicyApplications `json:"applications,omitempty"`

	// Template is what the backups are made from.
	// +kubebuilder:default={}
	// +optional
	Template BackupTemplate `json:"template,omitempty"`

	// Retention says which complete backups are kept. Default: all.
	// +kubebuilder:default={}
	// +optional
	Retention PolicyRetention `json:"retention,omitempty"`

	// History says how many other backups are kept, for reading.
	// +kubebuilder:default={}
	// +optional
	History PolicyHistory `json:"history,omitempty"`
}

// Concurrency says what becomes of a run while the last one goes on.
// +kubebuilder:validation:Enum=Forbid;Allow
type Concurrency string

// The concurrencies.
const (
	ConcurrencyForbid Concurrency = "Forbid"
	ConcurrencyAllow  Concurrency = "Allow"
)

// PolicyApplications selects applications. What any of its fields selects is
// selected. Left out is what carries the annotation lull.dev/backup: "false", or
// K8up's or APPUiO's of that meaning, and a claim that does so of the workload
// that mounts it.
type PolicyApplications struct {
	// Refs names applications.
	// +kubebuilder:validation:MaxItems=1000
	// +listType=atomic
	// +optional
	Refs []ApplicationReference `json:"refs,omitempty"`

	// Selector selects Deployments, StatefulSets, DaemonSets, and ReplicaSets and
	// ReplicationControllers that nothing owns, by their labels; {} is all of
	// them. It takes none that mounts no claim.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`

	// ClaimSelector selects claims that no workload of the policy mounts, each an
	// application by itself, but for those that a restore has replaced.
	// +optional
	ClaimSelector *metav1.LabelSelector `json:"claimSelector,omitempty"`
}

// BackupTemplate is what a policy's backups are made from.
type BackupTemplate struct {
	// Spec is that of a VolumeBackup, but for its application.
	// +kubebuilder:default={}
	// +optional
	Spec BackupTemplateSpec `json:"spec,omitempty"`
}

// BackupTemplateSpec is a VolumeBackup's but for its application.
//
// +kubebuilder:validation:XValidation:rule="!has(self.volumeSnapshotClassName) || !has(self.volumeGroupSnapshotClassName)",message="write one of volumeSnapshotClassName and volumeGroupSnapshotClassName: volumes are cut one by one, or as a group"
// +kubebuilder:validation:XValidation:rule="!has(self.export) || !has(self.export.keepSnapshot) || self.export.keepSnapshot || !has(self.deletionPolicy) || self.deletionPolicy == 'Delete'",message="export.keepSnapshot: false has the snapshots go, and deletionPolicy Retain or Orphan has them stay: leave one of both out"
// +kubebuilder:validation:XValidation:rule="!has(self.applicationRef)",message="a template has no applicationRef: the policy says in spec.applications which applications are backed up"
type BackupTemplateSpec struct {
	// ApplicationRef must not be written: spec.applications says who.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	ApplicationRef *NotWritten `json:"applicationRef,omitempty"`

	BackupSettings `json:",inline"`
}

// NotWritten is a field that is refused wherever it is written.
type NotWritten struct{}

// PolicyHistory says how many other backups are kept, for reading.
type PolicyHistory struct {
	// Failed is how many failed backups of each application are kept.
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +optional
	Failed *int32 `json:"failed,omitempty"`
}

// PolicySpec is what both kinds of policy say.
func (p *SnapshotPolicy) PolicySpec() *SnapshotPolicySpec { return &p.Spec }

// PolicyStatus is what is observed of both kinds of policy.
func (p *SnapshotPolicy) PolicyStatus() *SnapshotPolicyStatus { return &p.Status }

// PolicySpec is what both kinds of policy say.
func (p *ClusterSnapshotPolicy) PolicySpec() *SnapshotPolicySpec { return &p.Spec.SnapshotPolicySpec }

// PolicyStatus is what is observed of both kinds of policy.
func (p *ClusterSnapshotPolicy) PolicyStatus() *SnapshotPolicyStatus { return &p.Status }
