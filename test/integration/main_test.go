package integration

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/lull-dev/lull/api/v1alpha1"
)

const (
	deploy          = "../../deploy"
	systemNamespace = "lull-system"
	serviceAccount  = "lull-manager"
)

var (
	environment *envtest.Environment
	scheme      = runtime.NewScheme()
	// admin may do all and reads past any cache.
	admin client.WithWatch
	// asManager is the manager's service account, with the rights that
	// deploy/rbac gives it and no others.
	asManager *rest.Config
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
	snapshotCRDs, err := snapshotCRDFolder()
	if err != nil {
		return 1, err
	}
	environment = &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(deploy, "crd"), snapshotCRDs},
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
	if err := install(context.Background(), "rbac", "admission"); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// snapshotCRDFolder is where the CRDs of snapshots are, in the very module
// whose types we use.
func snapshotCRDFolder() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/kubernetes-csi/external-snapshotter/client/v6").Output()
	if err != nil {
		return "", fmt.Errorf("where is the module of the snapshot API: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "config", "crd"), nil
}

func connect(config *rest.Config) error {
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, snapshotv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	var err error
	if admin, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	asManager = configOf("system:serviceaccount:" + systemNamespace + ":" + serviceAccount)
	return nil
}

// configOf is the configuration of a user who has only what RBAC gives. The
// administrator impersonates it: envtest makes users of its own too, but by
// certificates whose serial number tests that run side by side would race for.
func configOf(user string) *rest.Config {
	config := rest.CopyConfig(environment.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	return config
}

// install creates what the folders of deploy hold, in the namespace that
// kustomize would put it into.
func install(ctx context.Context, folders ...string) error {
	if err := admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemNamespace}}); err != nil {
		return err
	}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(deploy, folder, "*.yaml"))
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := installFile(ctx, file); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
}

func installFile(ctx context.Context, file string) error {
	if filepath.Base(file) == "kustomization.yaml" {
		return nil
	}
	objects, err := readObjects(file)
	if err != nil {
		return err
	}
	for _, obj := range objects {
		namespaced, err := admin.IsObjectNamespaced(obj)
		if err != nil {
			return err
		}
		if namespaced && obj.GetNamespace() == "" {
			obj.SetNamespace(systemNamespace)
		}
		if err := admin.Create(ctx, obj); err != nil {
			return err
		}
	}
	return nil
}

func readObjects(file string) ([]*unstructured.Unstructured, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &obj.Object); err != nil {
			return nil, err
		}
		if len(obj.Object) > 0 {
			objects = append(objects, obj)
		}
	}
}
