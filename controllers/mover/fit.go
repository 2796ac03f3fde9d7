package mover

import (
	"context"
	"maps"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/live"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/workload"
)

// notSelected is the value of a label by which something selects the application's
// pods.
const notSelected = "lull-mover"

// annotationK8up has K8up back a claim up, unless it is "false".
const annotationK8up = "k8up.io/backup"

// fitted is the Job of a mover as its namespace admits it: within its LimitRanges
// and quotas, and with what the application's pods are admitted by.
func (m *Movers) fitted(ctx context.Context, in resticexport.JobInput) (*batchv1.Job, error) {
	reader := live.Reader{Reader: m.Live}
	rules, err := reader.Rules(ctx, in.Namespace)
	if err != nil {
		return nil, err
	}
	spec := *in.Spec
	spec.Mover.Resources = rules.Fitted(resticexport.Resources(&spec.Mover))
	in.Spec = &spec
	application, err := reader.Workload(ctx, in.Namespace, in.Application)
	if err != nil || application == nil {
		return resticexport.Job(in), err
	}
	own := in.Labels
	in.Labels = rules.LabelsLike(application, notSelected)
	maps.Copy(in.Labels, own)
	job := resticexport.Job(in)
	pod, like := &job.Spec.Template.Spec, application.Template.Spec.DeepCopy()
	pod.PriorityClassName, pod.RuntimeClassName, pod.ImagePullSecrets = like.PriorityClassName, like.RuntimeClassName, like.ImagePullSecrets
	return job, nil
}

// like gives a clone the labels and annotations of the claim that it is a copy of,
// which rules of the namespace may ask for, but those by which it would be taken for
// that claim.
func like(clone *corev1.PersistentVolumeClaim, labels, annotations map[string]string) {
	all := workload.Unmarked(labels)
	delete(all, v1alpha1.LabelGroup)
	delete(all, v1alpha1.LabelPrevious)
	maps.Copy(all, clone.Labels)
	clone.Labels = all
	carried := workload.UnmarkedAnnotations(workload.OwnAnnotations(annotations))
	if carried == nil {
		carried = map[string]string{}
	}
	if _, is := carried[annotationK8up]; is {
		carried[annotationK8up] = "false"
	}
	maps.Copy(carried, clone.Annotations)
	clone.Annotations = carried
}
