package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot/workload"
)

// thawPods ends what is left of an attempt in all of its pods that aren't known
// to be thawed, and runs their recorded post-hooks, at once. A held session ends
// with its stream, as the runtime ends its input when the client goes; but a
// command may not heed that, and a pre-hook knows nothing of its client.
func (w *run) thawPods(ctx context.Context, q *v1alpha1.QuiesceStatus) error {
	ctx = context.WithoutCancel(ctx)
	pods := q.Pods
	errs := make([]error, len(pods))
	var all sync.WaitGroup
	for i := range pods {
		if pods[i].Thawed {
			continue
		}
		all.Go(func() {
			errs[i] = w.thawPod(ctx, pods[i], markOf(w.VolumeBackup, q))
			pods[i].Thawed = errs[i] == nil
		})
	}
	all.Wait()
	return hooks.Join(errs...)
}

func (w *run) thawPod(ctx context.Context, p v1alpha1.QuiescedPod, mark hooks.Mark) error {
	pod, err := w.podToThaw(ctx, p)
	if err != nil || pod == nil {
		return err
	}
	others := []string{p.PreContainer}
	if len(p.Post) == 0 {
		others = append(others, p.Container)
	}
	var failed error
	for _, container := range others {
		if hooks.Runs(pod, container) {
			in := hooks.Container{Namespace: w.Namespace, Pod: p.Name, Name: container}
			failed = hooks.Join(failed, hooks.EndLeftover(ctx, w.Executor, in, p.UID, mark))
		}
	}
	if len(p.Post) == 0 {
		return failed
	}
	// The post-hook runs all the same: what couldn't be ended may wait for it.
	target := hooks.Target{
		Namespace: w.Namespace, Pod: p.Name, UID: p.UID, Mark: mark,
		Post: hooks.Command{Args: p.Post, Container: p.Container, Timeout: ptr.Deref(p.PostTimeout, metav1.Duration{}).Duration},
	}
	return hooks.Join(failed, hooks.Thaw(ctx, w.Executor, target))
}

// podToThaw is the pod, nil where its processes are no more. One that isn't
// ready is there: a frozen database often fails its probe.
func (w *run) podToThaw(ctx context.Context, p v1alpha1.QuiescedPod) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, thawLimit)
	defer cancel()
	var pod corev1.Pod
	if err := w.Live.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: p.Name}, &pod); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if pod.UID != p.UID || workload.IsFinished(&pod) {
		return nil, nil
	}
	return &pod, nil
}

// commandByHand is the first command that would thaw, for a person to copy.
func commandByHand(b *v1alpha1.VolumeBackup, q *v1alpha1.QuiesceStatus, why error) string {
	for _, p := range q.Pods {
		switch {
		case p.Thawed:
		case len(p.Post) == 0 && errors.Is(why, hooks.ErrNoShell):
			return fmt.Sprintf("kubectl delete pod -n %s %s, or wait until its command ends by itself", b.Namespace, p.Name)
		case len(p.Post) == 0:
			return fmt.Sprintf("kubectl exec -n %s %s -c %s -- pkill -KILL -f lull=%s", b.Namespace, p.Name, p.Container, markOf(b, q))
		default:
			return fmt.Sprintf("kubectl exec -n %s %s -c %s -- %s", b.Namespace, p.Name, p.Container, quoted(p.Post))
		}
	}
	return "nothing is left to thaw"
}

// markOf is that of an attempt of the backup.
func markOf(b *v1alpha1.VolumeBackup, q *v1alpha1.QuiesceStatus) hooks.Mark {
	return hooks.Mark(fmt.Sprintf("%s.%d", b.UID, q.Attempt))
}

func quoted(args []string) string {
	words := make([]string, 0, len(args))
	for _, a := range args {
		words = append(words, "'"+strings.ReplaceAll(a, "'", `'\''`)+"'")
	}
	return strings.Join(words, " ")
}
