package live

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"golang.org/x/sync/errgroup"
)

// Nodes are asked what runs on them.
type Nodes interface {
	// MayAsk is true where the administrator lets us ask.
	MayAsk(ctx context.Context) (bool, error)
	// Running are the pods that a node runs, whether the API knows them or not.
	// Of each there are name, namespace and UID.
	Running(ctx context.Context, node string) ([]corev1.Pod, error)
}

// Kubelets asks by the API server's proxy to the nodes' kubelets. It takes the
// right to get nodes/proxy, which is far more than what is asked for: it is the
// administrator's to give, and isn't part of the manager's role.
type Kubelets struct{ kube kubernetes.Interface }

// NewKubelets asks as config says.
func NewKubelets(config *rest.Config) (*Kubelets, error) {
	kube, err := kubernetes.NewForConfig(config)
	return &Kubelets{kube}, err
}

// MayAsk asks the API server for our own rights.
func (k *Kubelets) MayAsk(ctx context.Context) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Resource: "nodes", Subresource: "proxy"},
	}}
	answer, err := k.kube.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return answer.Status.Allowed, nil
}

// Running is what the kubelet's /runningpods says, by the container runtime's
// word of a moment ago. Its /pods forgets a pod as soon as the API does
// (k8s.io/kubernetes, pkg/kubelet, HandlePodRemoves).
func (k *Kubelets) Running(ctx context.Context, node string) ([]corev1.Pod, error) {
	text, err := k.kube.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes/" + node + "/proxy/runningpods/").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	var pods corev1.PodList
	err = json.Unmarshal(text, &pods)
	return pods.Items, err
}

const (
	// askedAtOnce and answerLimit bound what asking a large cluster takes.
	askedAtOnce = 32
	answerLimit = 5 * time.Second
)

// RunningPods are the pods of a namespace that nodes run, by the nodes. silent
// says which of them doesn't answer, and is empty where all do.
func RunningPods(ctx context.Context, from Nodes, nodes []corev1.Node, namespace string) (running map[string][]corev1.Pod, silent string) {
	var mu sync.Mutex
	running = map[string][]corev1.Pod{}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(askedAtOnce)
	for i := range nodes {
		node := nodes[i].Name
		all.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, answerLimit)
			defer cancel()
			pods, err := from.Running(ctx, node)
			if err != nil {
				return fmt.Errorf("node %s did not say what it runs: %w", node, err)
			}
			mu.Lock()
			defer mu.Unlock()
			running[node] = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return p.Namespace != namespace })
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err.Error()
	}
	return running, ""
}
