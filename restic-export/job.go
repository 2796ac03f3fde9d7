package resticexport

import (
	"maps"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// Where a volume is in the mover's pod. SourcePath is that of the one that is copied
// from.
const (
	SourcePath = "/source"
	DataPath   = "/data"
	DevicePath = "/dev/lull-data"
)

// Container is the name of the mover's container.
const Container = "mover"

// JobInput is what a mover's Job is made of.
type JobInput struct {
	// Name is one of JobName.
	Name, Namespace string
	// Labels of the Job and of its pod, beside those that Job sets.
	Labels map[string]string
	// Repository is the name of the ResticRepository, Spec its. A mover that needs
	// none has no name here, and nothing of its spec counts but Mover.
	Repository string
	Spec       *v1alpha1.ResticRepositorySpec
	Task       Task
	// From is a second repository, which is only read: the one that is copied from, or
	// that a new one is made like. nil where the task needs none.
	From *v1alpha1.ResticRepository
	// OldPassword is the one that a Rekey takes away.
	OldPassword *v1alpha1.SecretKeyReference
	// Image is the operator's own.
	Image string

	// Source is the claim that is exported, Target that which is restored to. Both are
	// set where paths are copied from one to the other. IsDevice: it is one of raw
	// blocks.
	Source, Target string
	IsDevice       bool
	// IsInUse: the Target is an application's. Its files stay as they are, so that
	// it is made writable for nobody, whatever FSGroup says.
	IsInUse bool

	// Cache is the claim that restic has its cache in, nil for a folder of the pod. No
	// other mover has it at the same time. It is made writable by FSGroup, so that it
	// is nothing for a Target that IsInUse.
	Cache *corev1.PersistentVolumeClaim

	// Application is whose volume it is, empty for what is of a repository alone. What
	// its pods carry, as far as rules of the namespace may ask for it, the mover's
	// carries.
	Application v1alpha1.ApplicationReference

	// Groups are the groups of the application's pods, which the files may be
	// readable for.
	Groups []int64
	// FSGroup is the group that a Target is made writable for, by default the
	// mover's own. It is never set for a Source alone, whose files a kubelet would
	// change, nor where the repository is a claim, which is the group's of all movers.
	FSGroup *int64
	// User that the mover runs as, where its repository doesn't say: by default 65532,
	// which owns nothing.
	User *int64
	// Privileged: it runs as root, with the capabilities to read every file, and to
	// give a restored one its owner. Without it the pod passes the restricted Pod
	// Security level.
	Privileged bool
	// Deadline is the longest that it may run, 0 is no limit.
	Deadline time.Duration
}

// Job is the Job of one mover. It is tried once: the controller tries again, with
// another Job, and deletes it when it has read the Result.
func Job(in JobInput) *batchv1.Job {
	labels := in.labels()
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: in.Name, Namespace: in.Namespace, Labels: labels},
		Spec: batchv1.JobSpec{
			BackoffLimit: ptr.To[int32](0),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{
					Labels: maps.Clone(labels),
					// A mesh's sidecar would keep the pod from ending.
					Annotations: map[string]string{"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"},
				},
				Spec: in.podSpec(),
			},
		},
	}
	if in.Deadline > 0 {
		job.Spec.ActiveDeadlineSeconds = ptr.To(max(1, int64(in.Deadline.Seconds())))
	}
	return job
}

func (in *JobInput) labels() map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, in.Labels)
	labels[v1alpha1.LabelManagedBy] = v1alpha1.ManagedBy
	if in.Repository != "" {
		labels[v1alpha1.LabelRepository] = names.LabelValue(in.Repository)
	}
	if in.Task.Init != nil {
		labels[LabelInit] = in.location()
	}
	if in.Cache != nil {
		labels[v1alpha1.LabelCache] = in.Cache.Name
	}
	if in.From != nil {
		labels[v1alpha1.LabelFromRepository] = names.LabelValue(in.From.Name)
	}
	return labels
}

// LabelInit is on the Job that makes a repository, with where it is as its value.
// Two that make one at the same place at once leave one that opens for nobody.
const LabelInit = "lull.dev/init-at"

// location is the same for all repositories at one place, whatever namespace they
// are written in.
func (in *JobInput) location() string {
	at := []string{urlOf(&in.Spec.Backend, "")}
	if claim := in.Spec.Backend.Volume; claim != nil {
		at = append(at, in.Namespace, claim.ClaimName)
	}
	return names.Unique("at", at...)
}
