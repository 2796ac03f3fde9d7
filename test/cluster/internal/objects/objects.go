// Package objects puts the API objects that the cluster comes with into it: the
// snapshot kinds, the storage classes, and what the storage controllers may do.
package objects

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/lull-dev/lull/test/cluster/internal/process"
)

// owner is the field manager of what we apply.
const owner = "lull-cluster"

//go:embed files
var files embed.FS

// An Applier applies objects to a cluster.
type Applier struct {
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

// NewApplier returns an Applier for the cluster that a configuration names.
func NewApplier(config *rest.Config) (*Applier, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	cached := memory.NewMemCacheClient(kinds)
	return &Applier{client: client, mapper: restmapper.NewDeferredDiscoveryRESTMapper(cached)}, nil
}

// RBAC applies what the storage controllers may do.
func (a *Applier) RBAC(ctx context.Context) error { return a.embedded(ctx, "files/rbac.yaml") }

// Storage applies the driver's object and the classes. The snapshot kinds must
// be there.
func (a *Applier) Storage(ctx context.Context) error { return a.embedded(ctx, "files/storage.yaml") }

// SnapshotKinds applies the snapshot kinds from the folder of the module that
// defines them, and waits until the API server serves them.
func (a *Applier) SnapshotKinds(ctx context.Context, module string) error {
	paths, err := filepath.Glob(filepath.Join(module, "config", "crd", "*snapshot.storage.k8s.io_*.yaml"))
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return fmt.Errorf("no snapshot kinds in %s", module)
	}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := a.all(ctx, file); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return a.awaitKinds(ctx)
}

func (a *Applier) awaitKinds(ctx context.Context) error {
	served := func(kind schema.GroupKind) bool {
		mapping, err := a.mapper.RESTMapping(kind)
		if err != nil {
			a.mapper.Reset()
			return false
		}
		if _, err = a.client.Resource(mapping.Resource).List(ctx, metav1.ListOptions{Limit: 1}); err != nil {
			a.mapper.Reset() // another release served another version
		}
		return err == nil
	}
	return process.Poll(ctx, 100*time.Millisecond, func() (bool, error) {
		return served(schema.GroupKind{Group: "snapshot.storage.k8s.io", Kind: "VolumeSnapshotClass"}) &&
			served(schema.GroupKind{Group: "groupsnapshot.storage.k8s.io", Kind: "VolumeGroupSnapshotClass"}), nil
	})
}

func (a *Applier) embedded(ctx context.Context, path string) error {
	file, err := files.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := a.all(ctx, file); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return nil
}

// all applies all objects in a stream of YAML documents.
func (a *Applier) all(ctx context.Context, stream io.Reader) error {
	documents := utilyaml.NewYAMLOrJSONDecoder(stream, 4096)
	for {
		object := &unstructured.Unstructured{}
		err := documents.Decode(object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(object.Object) == 0 {
			continue // a document of comments
		}
		if err := a.apply(ctx, object); err != nil {
			return fmt.Errorf("%s %s: %w", strings.ToLower(object.GetKind()), object.GetName(), err)
		}
	}
}

func (a *Applier) apply(ctx context.Context, object *unstructured.Unstructured) error {
	kind := object.GroupVersionKind()
	mapping, err := a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		a.mapper.Reset()
		mapping, err = a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if err != nil {
		return err
	}
	// None of what we apply has a namespace.
	_, err = a.client.Resource(mapping.Resource).Apply(ctx, object.GetName(), object,
		metav1.ApplyOptions{FieldManager: owner, Force: true})
	return err
}
