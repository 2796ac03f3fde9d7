package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/lull-dev/lull/test/framework"
)

// deployFolder is the folder of what is installed, from the root of the
// checkout.
const deployFolder = "deploy"

// etcdQuota is as much as etcd suggests at most, in bytes: what is written here in
// half an hour is more than a cluster writes in a day, and old revisions take
// room until they are compacted.
const etcdQuota = "8589934592"

// controlPlaneLimit is how long etcd and the API server may take to start, each.
const controlPlaneLimit = time.Minute

// controlPlane is an API server with its etcd, set as they come but for etcdQuota,
// and the operator's manifests but for the manager. It has no nodes, and no
// controllers but those of the benchmark.
type controlPlane struct {
	// An administrator's client, without a rate limit.
	client.WithWatch
	// operator is one of the operator's account, which alone writes its statuses.
	operator client.Client
	kube     kubernetes.Interface
	scheme   *runtime.Scheme
	// asManager is the manager's service account, with the rights that deploy/rbac
	// gives it, and for the API server one client among others: its share is
	// bounded by priority and fairness.
	asManager *rest.Config
	// folder holds the manager's kubeconfig and its log.
	folder, kubeconfig string
	environment        *envtest.Environment
}

func startControlPlane(ctx context.Context) (_ *controlPlane, err error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd: run make bench ONLY=policies")
	}
	snapshotCRDs, err := framework.SnapshotCRDs()
	if err != nil {
		return nil, err
	}
	c := &controlPlane{environment: &envtest.Environment{
		CRDDirectoryPaths:        []string{filepath.Join(deployFolder, "crd"), snapshotCRDs},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: controlPlaneLimit,
	}}
	// By itself envtest has etcd answer before the disk has what it was told.
	c.environment.ControlPlane.Etcd = &envtest.Etcd{}
	c.environment.ControlPlane.Etcd.Configure().Disable("unsafe-no-fsync").Set("quota-backend-bytes", etcdQuota)
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	admin, err := c.environment.Start()
	if err != nil {
		return nil, err
	}
	if err := c.connect(admin); err != nil {
		return nil, err
	}
	if err := framework.Install(ctx, c, deployFolder, "rbac", "admission"); err != nil {
		return nil, err
	}
	return c, c.addManager()
}

func (c *controlPlane) connect(admin *rest.Config) (err error) {
	admin.QPS, admin.WarningHandler = -1, rest.NoWarnings{}
	if c.scheme, err = framework.Scheme(); err != nil {
		return err
	}
	if c.WithWatch, err = client.NewWithWatch(admin, client.Options{Scheme: c.scheme}); err != nil {
		return err
	}
	if c.operator, err = framework.Operator(admin, c.scheme); err != nil {
		return err
	}
	c.kube, err = kubernetes.NewForConfig(admin)
	return err
}

// addManager makes the manager's user, and a kubeconfig for it.
func (c *controlPlane) addManager() (err error) {
	account := envtest.User{
		Name:   framework.ManagerUser,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + framework.ManagerNamespace},
	}
	user, err := c.environment.AddUser(account, nil)
	if err != nil {
		return err
	}
	c.asManager = user.Config()
	text, err := user.KubeConfig()
	if err != nil {
		return err
	}
	if c.folder, err = os.MkdirTemp("", "lull-bench-"); err != nil {
		return err
	}
	c.kubeconfig = filepath.Join(c.folder, "kubeconfig")
	return os.WriteFile(c.kubeconfig, text, 0o600)
}

func (c *controlPlane) stop() error {
	return errors.Join(c.environment.Stop(), os.RemoveAll(c.folder))
}
