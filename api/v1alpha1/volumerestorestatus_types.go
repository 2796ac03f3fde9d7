package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// VolumeRestoreStatus is what was observed of a restore, and what is about to
// be done.
type VolumeRestoreStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Phase is one word for people.
	// +optional
	Phase RestorePhase `json:"phase,omitempty"`
	// Message is one line for people: what is done, waited for, or wrong.
	// +optional
	Message string `json:"message,omitempty"`
	// Step of the plan that is being taken. It is written before the step is
	// taken.
	// +optional
	Step string `json:"step,omitempty"`
	// StepSince is when that step was begun.
	// +optional
	StepSince *metav1.MicroTime `json:"stepSince,omitempty"`
	// Source is the name of the VolumeBackup that is restored from, or of the
	// repository, with a slash and the beginning of its first snapshot's ID.
	// +optional
	Source string `json:"source,omitempty"`
	// Found is what the repository has of it.
	// +optional
	Found *FoundBackup `json:"found,omitempty"`
	// Application that is restored.
	// +optional
	Application *ApplicationReference `json:"application,omitempty"`
	// ApplicationUID is the UID of that object.
	// +optional
	ApplicationUID types.UID `json:"applicationUID,omitempty"`
	// Strategy that was chosen.
	// +optional
	Strategy RestoreStrategy `json:"strategy,omitempty"`
	// StrategyReason is why.
	// +optional
	StrategyReason string `json:"strategyReason,omitempty"`
	// Replicas is what the application had. It is written before the
	// application is stopped.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// Paused is true where the application's rollout was paused. It is paused
	// again at the end.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// WasReady is true where the application was ready before.
	// +optional
	WasReady bool `json:"wasReady,omitempty"`
	// Autoscaler that scales the application, and steps aside while it has no
	// replicas.
	// +optional
	Autoscaler string `json:"autoscaler,omitempty"`
	// Downtime is the time from the scale-down to the application being ready
	// again.
	// +optional
	Downtime *metav1.Duration `json:"downtime,omitempty"`
	// Claims is the set of claims that this restore set out to restore.
	// +listType=map
	// +listMapKey=claimName
	// +optional
	Claims []RestoredClaim `json:"claims,omitempty"`
	// Kept is how many volumes restores keep in the namespace, as it was when this one
	// was resolved.
	// +optional
	Kept *KeptVolumes `json:"kept,omitempty"`
	// StartTime is when the restore was first seen.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// ScaledDownAt is when the application was told to stop.
	// +optional
	ScaledDownAt *metav1.MicroTime `json:"scaledDownAt,omitempty"`
	// ScaledUpAt is when the application was told to start again.
	// +optional
	ScaledUpAt *metav1.MicroTime `json:"scaledUpAt,omitempty"`
	// Stops is how often the application was told to stop, on the way forward or
	// back that is taken: more than once where somebody starts it again meanwhile.
	// +optional
	Stops int32 `json:"stops,omitempty"`
	// CompletionTime is when it was complete or had failed.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// RollBack is how the restore is undone, where it is.
	// +optional
	RollBack *RollBackStatus `json:"rollBack,omitempty"`
	// Conditions are the truth.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// KeptVolumes are those that were replaced by restores of a namespace and that nobody
// has let go.
type KeptVolumes struct {
	// InNamespace is their number, with those that this restore keeps.
	InNamespace int32 `json:"inNamespace"`
	// Limit is how many they may be at most, 0 for no bound.
	// +optional
	Limit int32 `json:"limit,omitempty"`
}

// RollBackStatus is how a restore is undone. It is written before anything is
// touched.
type RollBackStatus struct {
	// Reason is why, in one word.
	Reason string `json:"reason"`
	// Message is why.
	// +optional
	Message string `json:"message,omitempty"`
	// StartedAt is when the intent was written.
	StartedAt metav1.MicroTime `json:"startedAt"`
	// ScaledDownAt is when the application was told to stop for it.
	// +optional
	ScaledDownAt *metav1.MicroTime `json:"scaledDownAt,omitempty"`
	// ScaledUpAt is when it was told to start again.
	// +optional
	ScaledUpAt *metav1.MicroTime `json:"scaledUpAt,omitempty"`
	// ReadyAt is when it was ready again.
	// +optional
	ReadyAt *metav1.MicroTime `json:"readyAt,omitempty"`
	// CalledOff is why it isn't undone after all: a step could not be taken, and
	// the application still has the volumes that it ran on before. It is written
	// before the application is started again on those.
	// +optional
	CalledOff *CalledOff `json:"calledOff,omitempty"`
	// EndedAt is when nothing more was to be done, well or not.
	// +optional
	EndedAt *metav1.MicroTime `json:"endedAt,omitempty"`
}

// CalledOff is why the undoing of a restore is called off.
type CalledOff struct {
	// Reason is why, in one word.
	Reason string `json:"reason"`
	// Message is why.
	// +optional
	Message string `json:"message,omitempty"`
}
