package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// jobPatience bounds a Job that is under way.
	jobPatience = 30 * time.Minute
	// memoryLook is how often its memory is looked at.
	memoryLook = 100 * time.Millisecond
)

// jobRun is what was seen of a Job that has done its work.
type jobRun struct {
	// took: from the moment that a pod of it was seen to be there until it was seen
	// to be complete.
	took time.Duration
	// memory is the most of anonymous memory that its container was seen to have, in
	// MiB. 0 where that was never seen, as of one that ends at once.
	memory float64
}

// timed is the run of a Job that comes of what is begun. A watch tells, the same for
// whoever makes the Job: its own times, and those of its pod, are whole seconds.
func (b *bench) timed(ctx context.Context, isIt func(*batchv1.Job) bool, begin func(context.Context) error) (jobRun, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// What was written before is written to the disk before: else that would go on
	// meanwhile.
	syscall.Sync()
	memory, err := newPodMemory()
	if err != nil {
		return jobRun{}, err
	}
	jobs, err := b.Watch(ctx, &batchv1.JobList{}, client.InNamespace(b.namespace))
	if err != nil {
		return jobRun{}, err
	}
	defer jobs.Stop()
	pods, err := b.Watch(ctx, &corev1.PodList{}, client.InNamespace(b.namespace), client.HasLabels{batchv1.JobNameLabel})
	if err != nil {
		return jobRun{}, err
	}
	defer pods.Stop()
	if err := begin(ctx); err != nil {
		return jobRun{}, err
	}
	w := &jobWatch{isIt: isIt, pods: map[string]*corev1.Pod{}, memory: memory}
	if err := w.follow(ctx, jobs, pods); err != nil {
		return jobRun{}, err
	}
	return jobRun{took: w.completed.Sub(w.began), memory: w.peak}, nil
}

// jobWatch follows a Job and its pod.
type jobWatch struct {
	isIt             func(*batchv1.Job) bool
	job              string
	began, completed time.Time
	// pods are those of all Jobs, by the names of these.
	pods   map[string]*corev1.Pod
	memory *podMemory
	peak   float64
}

// follow follows it until it is complete.
func (w *jobWatch) follow(ctx context.Context, jobs, pods watch.Interface) error {
	look := time.NewTicker(memoryLook)
	defer look.Stop()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for w.completed.IsZero() {
		hadBegun := !w.began.IsZero()
		select {
		case change := <-jobs.ResultChan():
			if err := w.seeJob(change); err != nil {
				return err
			}
		case change := <-pods.ResultChan():
			pod, is := change.Object.(*corev1.Pod)
			if !is {
				return errors.New("the watch of the pods ended")
			}
			w.pods[pod.Labels[batchv1.JobNameLabel]] = pod
		case <-look.C:
			w.lookAtMemory()
		case <-limit.C:
			return fmt.Errorf("the job %q has neither ended nor failed in time", w.job)
		case <-ctx.Done():
			return ctx.Err()
		}
		if !hadBegun && !w.began.IsZero() {
			limit.Reset(jobPatience)
		}
	}
	return nil
}

func (w *jobWatch) seeJob(change watch.Event) error {
	job, is := change.Object.(*batchv1.Job)
	switch {
	case !is:
		return errors.New("the watch of the jobs ended")
	case !w.isIt(job):
		return nil
	case change.Type == watch.Deleted:
		return fmt.Errorf("job %s was deleted before it was complete", job.Name)
	}
	now := time.Now()
	if w.job = job.Name; w.began.IsZero() && job.Status.Active > 0 {
		w.began = now
	}
	for _, c := range job.Status.Conditions {
		switch {
		case c.Status != corev1.ConditionTrue:
		case c.Type == batchv1.JobFailed:
			return fmt.Errorf("job %s failed: %s: %s", job.Name, c.Message, w.lastWords())
		case c.Type == batchv1.JobComplete && w.began.IsZero():
			return fmt.Errorf("job %s was complete before it was seen to be at work", job.Name)
		case c.Type == batchv1.JobComplete:
			w.completed = now
		}
	}
	return nil
}

// lastWords is what the Job's container has left.
func (w *jobWatch) lastWords() string {
	pod := w.pods[w.job]
	if pod == nil {
		return ""
	}
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Terminated != nil {
			return c.State.Terminated.Message
		}
	}
	return ""
}

func (w *jobWatch) lookAtMemory() {
	if pod := w.pods[w.job]; pod != nil {
		w.peak = max(w.peak, w.memory.of(pod.UID))
	}
}
