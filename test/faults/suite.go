package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/faults/points"
	"github.com/lull-dev/lull/test/framework"
)

const (
	deployment     = "lull-manager"
	serviceAccount = "lull-manager"
	// tokenLife is longer than any run.
	tokenLife = 24 * time.Hour
)

// suite is what all rounds share.
type suite struct {
	*framework.Cluster
	all           []points.Point
	dir           string // for sockets, logs, programs
	managerBinary string // the manager with failpoints
	faultctl      string // test/cluster, to break components
	kubeconfig    string // of the manager's service account
	image         string // of the operator
	replicas      int32  // of the deployed manager

	// alone is held for reading by a round, and for writing by one that breaks
	// a part of the cluster that all share.
	alone sync.RWMutex
	// outage is when the last one ended. It is guarded by alone.
	outage time.Time

	mu       sync.Mutex
	managers int
}

// newSuite builds what the rounds need and stands the deployed manager aside.
func newSuite(ctx context.Context) (*suite, error) {
	s := &suite{dir: "bin/faults"}
	var err error
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return nil, err
	}
	if err := errors.Join(os.RemoveAll(s.dir), os.MkdirAll(s.dir, 0o755)); err != nil {
		return nil, err
	}
	if s.all, err = points.Find("."); err != nil {
		return nil, err
	}
	if err := points.Check(".", s.all); err != nil {
		return nil, err
	}
	if s.managerBinary, err = build(ctx, s.dir, ".", "./cmd/manager", "manager", "-tags=failpoints", "-gcflags=github.com/lull-dev/lull/...=-l"); err != nil {
		return nil, err
	}
	if s.faultctl, err = build(ctx, s.dir, "test/cluster", ".", "cluster"); err != nil {
		return nil, err
	}
	if s.Cluster, err = framework.Connect(); err != nil {
		return nil, err
	}
	if s.kubeconfig, err = s.managerKubeconfig(ctx); err != nil {
		return nil, err
	}
	return s, s.standAside(ctx)
}

// build builds a program. Functions of ours aren't inlined: failpoints are
// named by them.
func build(ctx context.Context, to, module, of, name string, flags ...string) (string, error) {
	path := filepath.Join(to, name)
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", path}, flags...), of)...)
	cmd.Dir = module
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w: %s", name, err, said)
	}
	return path, nil
}

// managerKubeconfig is that of the manager's own service account: its rights
// are under test too.
func (s *suite) managerKubeconfig(ctx context.Context) (string, error) {
	answer, err := s.Kube.CoreV1().ServiceAccounts(framework.ManagerNamespace).CreateToken(ctx, serviceAccount,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(tokenLife.Seconds()))}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["cluster"] = &clientcmdapi.Cluster{
		Server: s.Config.Host, CertificateAuthorityData: s.Config.CAData, CertificateAuthority: s.Config.CAFile, TLSServerName: s.Config.ServerName,
	}
	config.AuthInfos["manager"] = &clientcmdapi.AuthInfo{Token: answer.Status.Token}
	config.Contexts["manager"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "manager"}
	config.CurrentContext = "manager"
	path := filepath.Join(s.dir, "kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}

// standAside scales the deployed manager to zero and waits until it is gone.
func (s *suite) standAside(ctx context.Context) error {
	deployed := &appsv1.Deployment{}
	if err := s.Get(ctx, client.ObjectKey{Namespace: framework.ManagerNamespace, Name: deployment}, deployed); err != nil {
		return fmt.Errorf("the operator isn't deployed (make deploy): %w", err)
	}
	s.image = deployed.Spec.Template.Spec.Containers[0].Image
	s.replicas = max(1, ptr.Deref(deployed.Spec.Replicas, 1))
	if err := s.scale(ctx, 0); err != nil {
		return err
	}
	return poll(ctx, 90*time.Second, "the deployed manager is gone", func(ctx context.Context) (string, error) {
		var pods corev1.PodList
		err := s.List(ctx, &pods, client.InNamespace(framework.ManagerNamespace), client.MatchingLabels{"app.kubernetes.io/component": "manager"})
		return unless(len(pods.Items) == 0, "%d pod(s) are left", len(pods.Items)), err
	})
}

// aside is an error where somebody has brought the deployed manager back: what
// is seen then is of two managers.
func (s *suite) aside(ctx context.Context) error {
	deployed := &appsv1.Deployment{}
	if err := s.Get(ctx, client.ObjectKey{Namespace: framework.ManagerNamespace, Name: deployment}, deployed); err != nil {
		return err
	}
	if n := ptr.Deref(deployed.Spec.Replicas, 1); n > 0 {
		return fmt.Errorf("somebody has scaled the deployed manager to %d while it was to stand aside: nothing can be said", n)
	}
	return nil
}

func (s *suite) scale(ctx context.Context, replicas int32) error {
	deployed := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: framework.ManagerNamespace, Name: deployment}}
	change := fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas)
	return s.Merge(ctx, deployed, change)
}

// close gives the cluster its manager back.
func (s *suite) close(ctx context.Context) error {
	if s.replicas == 0 {
		return nil
	}
	return poll(ctx, time.Minute, "the deployed manager is told to come back", func(ctx context.Context) (string, error) {
		return "", s.scale(ctx, s.replicas)
	})
}

// poll looks until nothing is missing. A look that fails says what is missing
// too: the cluster is broken on purpose.
func poll(ctx context.Context, limit time.Duration, what string, look func(context.Context) (missing string, err error)) error {
	return framework.Await(ctx, limit, what, func(ctx context.Context) error {
		missing, err := look(ctx)
		if err == nil && missing != "" {
			err = errors.New(missing)
		}
		return err
	})
}

// unless says what is missing, unless it is not.
func unless(good bool, format string, args ...any) string {
	if good {
		return ""
	}
	return fmt.Sprintf(format, args...)
}
