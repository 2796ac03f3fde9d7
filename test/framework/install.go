package framework

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// SnapshotCRDs is the folder with the CRDs of snapshots, in the very module
// whose types we use.
func SnapshotCRDs() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/kubernetes-csi/external-snapshotter/client/v6").Output()
	if err != nil {
		return "", fmt.Errorf("where is the module of the snapshot API: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "config", "crd"), nil
}

// Install makes the operator's namespace and creates what the folders of deploy
// hold, in the namespace that kustomize would put it into.
func Install(ctx context.Context, c client.Client, deploy string, folders ...string) error {
	if err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ManagerNamespace}}); err != nil {
		return err
	}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(deploy, folder, "*.yaml"))
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := installFile(ctx, c, file); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
}

func installFile(ctx context.Context, c client.Client, file string) error {
	if filepath.Base(file) == "kustomization.yaml" {
		return nil
	}
	objects, err := ReadObjects(file)
	if err != nil {
		return err
	}
	for _, obj := range objects {
		namespaced, err := c.IsObjectNamespaced(obj)
		if err != nil {
			return err
		}
		if namespaced && obj.GetNamespace() == "" {
			obj.SetNamespace(ManagerNamespace)
		}
		if err := c.Create(ctx, obj); err != nil {
			return err
		}
	}
	return nil
}

// ReadObjects are the objects of a file of YAML.
func ReadObjects(file string) ([]*unstructured.Unstructured, error) {
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
