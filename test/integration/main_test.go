package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/lull-dev/lull/test/framework"
)

const (
	manifests       = "../../deploy"
	systemNamespace = framework.ManagerNamespace
)

var (
	environment *envtest.Environment
	scheme      *runtime.Scheme
	// admin may do all and reads past any cache.
	admin client.WithWatch
	// asManager is the manager's service account, with the rights that
	// deploy/rbac gives it and no others.
	asManager *rest.Config
	// operator is a client of that account, which alone may write statuses of ours.
	operator client.Client
)

// sideBySide is how many tests run at once. Most of a test's time is spent
// waiting, so that their number has little to do with that of the processors.
const sideBySide = "24"

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == flag.Lookup("test.parallel").DefValue {
		if err := flag.Set("test.parallel", sideBySide); err != nil {
			fmt.Fprintln(os.Stderr, "integration:", err)
			os.Exit(1)
		}
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return 1, errors.New("KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd: run make test-integration")
	}
	ctrl.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	snapshotCRDs, err := framework.SnapshotCRDs()
	if err != nil {
		return 1, err
	}
	environment = &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(manifests, "crd"), snapshotCRDs},
		ErrorIfCRDPathMissing: true,
	}
	defer func() { err = errors.Join(err, environment.Stop()) }()
	config, err := environment.Start()
	if err != nil {
		return 1, err
	}
	if err := connect(config); err != nil {
		return 1, err
	}
	if err := framework.Install(context.Background(), admin, manifests, "rbac", "admission", "manager"); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func connect(config *rest.Config) (err error) {
	if scheme, err = framework.Scheme(); err != nil {
		return err
	}
	if admin, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	asManager = configOf(framework.ManagerUser)
	operator, err = framework.Operator(config, scheme)
	return err
}

// configOf is the configuration of a user who has only what RBAC gives. The
// administrator impersonates it: envtest makes users of its own too, but by
// certificates whose serial number tests that run side by side would race for.
func configOf(user string) *rest.Config {
	config := rest.CopyConfig(environment.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	return config
}
