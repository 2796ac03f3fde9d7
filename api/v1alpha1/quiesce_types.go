package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// QuiesceSpec says how an application is quieted: by a recipe, or by a held
// session, or by a pair of hooks.
//
// +kubebuilder:validation:XValidation:rule="(has(self.recipe) ? 1 : 0) + (has(self.hold) ? 1 : 0) + (has(self.pre) || has(self.post) ? 1 : 0) <= 1",message="write one of recipe, hold, or the pair pre and post"
// +kubebuilder:validation:XValidation:rule="has(self.pre) == has(self.post)",message="pre and post are a pair: write both, with post: {command: [\"true\"]} where nothing is to be undone"
// +kubebuilder:validation:XValidation:rule="!has(self.recipe) || self.recipe != 'elasticsearch'",message="Elasticsearch can't be restored from a copy of its files: use its snapshot API (PUT _snapshot/<repository>/<snapshot>) instead"
// +kubebuilder:validation:XValidation:rule="!has(self.recipe) || !has(self.stills) || self.stills != 'Files' || self.recipe == 'fsfreeze'",message="the database of a recipe goes on writing its files: leave stills out, or write a hold of your own that stops all writing"
// +kubebuilder:validation:XValidation:rule="!has(self.recipe) || self.recipe != 'opensearch'",message="OpenSearch isn't known to start from a copy of its files: use its snapshot API (PUT _snapshot/<repository>/<snapshot>) instead"
// +kubebuilder:validation:XValidation:rule="!has(self.recipe) || self.recipe != 'etcd'",message="a copy of etcd's files may lack what only its log has: use its own snapshot (etcdctl snapshot save <file>) instead"
// +kubebuilder:validation:XValidation:rule="!has(self.recipe) || self.recipe in ['mariadb', 'mysql', 'postgresql', 'redis', 'valkey', 'mongodb', 'fsfreeze', 'elasticsearch', 'opensearch', 'etcd']",message="there is no such recipe: write mariadb, mysql, postgresql, redis, valkey, mongodb or fsfreeze, or write hold, or pre and post, with commands of your own"
type QuiesceSpec struct {
	// Recipe is the name of a built-in held session: mariadb, mysql, postgresql,
	// redis, valkey, mongodb or fsfreeze.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Recipe string `json:"recipe,omitempty"`

	// Hold is one command that freezes, prints a line HELD, waits until its
	// standard input ends, prints a line STILL_HELD if it still holds, and
	// thaws. It must thaw by itself a little after Timeout.
	// +optional
	Hold *HookCommand `json:"hold,omitempty"`

	// Pre is a command that freezes and ends.
	// +optional
	Pre *HookCommand `json:"pre,omitempty"`

	// Post is the command that undoes Pre. It runs on every way out, also
	// when Pre failed, and must do no harm where nothing is frozen.
	// +optional
	Post *HookCommand `json:"post,omitempty"`

	// Pods says in which of the application's pods: All (default) or One.
	// +kubebuilder:validation:Enum=All;One
	// +optional
	Pods PodSelection `json:"pods,omitempty"`

	// PodAnnotations says whether the annotations of a pod itself count where there
	// is no pod template that speaks for it: Read (default), or Ignore. Whoever
	// backs up a pod or a claim and may not create pods/exec writes Ignore: who may
	// patch a pod could run commands in it by its annotations.
	// +optional
	PodAnnotations PodAnnotations `json:"podAnnotations,omitempty"`

	// Stills says what the hold keeps still: Files (default for a Hold of your
	// own), where nothing at all is written until it thaws; or Commits, where the
	// server goes on writing its files, and starts from a copy of one instant, as
	// under a database's lock. A recipe knows by itself: Files for fsfreeze, Commits
	// for the others. Hooks are Declared in any case.
	// +optional
	Stills Stills `json:"stills,omitempty"`

	// Timeout is the longest that the application may stay frozen, 1s to 1h.
	// Default: 30s. Where the pod template says less that counts, unless a recipe,
	// a hold or pre and post stand beside it here.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="write a duration from 1s to 1h, such as 30s or 2m"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// OnFailure says what to do when the application could not be quieted, or
	// not be let go for as long as that is tried: Fail (default), or Continue:
	// take a crash-consistent backup and say so.
	// +optional
	OnFailure OnFailure `json:"onFailure,omitempty"`
}

// HookCommand is a command that runs in a container of the application.
type HookCommand struct {
	// Command with its arguments, run as it is, without a shell. It has 65536
	// characters at most, all of its words together.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=16384
	// +kubebuilder:validation:XValidation:rule="self[0] != ''",message="the first word of a command names a program: it can't be empty"
	// +kubebuilder:validation:XValidation:rule="self.map(word, size(word)).sum() <= 65536",message="a command has at most 65536 characters, all of its words together: put a long script into the image, or into a ConfigMap that the pod mounts, and write the command that runs it"
	Command []string `json:"command"`

	// Container to run it in. Default: the first that mounts a volume that is
	// backed up.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Container string `json:"container,omitempty"`
}

// PodSelection says which of an application's pods are quieted.
type PodSelection string

// The pod selections.
const (
	PodsAll PodSelection = "All"
	PodsOne PodSelection = "One"
)

// PodAnnotations says whether the annotations of pods without a template count.
// +kubebuilder:validation:Enum=Read;Ignore
type PodAnnotations string

// What becomes of the annotations of pods without a template.
const (
	PodAnnotationsRead   PodAnnotations = "Read"
	PodAnnotationsIgnore PodAnnotations = "Ignore"
)

// Stills says what a hold keeps still.
// +kubebuilder:validation:Enum=Files;Commits
type Stills string

// What a hold keeps still.
const (
	// StillsFiles: nothing writes to the volumes at all.
	StillsFiles Stills = "Files"
	// StillsCommits: the server goes on writing pages and logs. Where it has a lock
	// for that no commit ends. A copy is good where it was cut at one instant.
	StillsCommits Stills = "Commits"
)

// OnFailure says what becomes of a backup whose application can't be quieted.
// +kubebuilder:validation:Enum=Fail;Continue
type OnFailure string

// The ways on.
const (
	OnFailureFail     OnFailure = "Fail"
	OnFailureContinue OnFailure = "Continue"
)
