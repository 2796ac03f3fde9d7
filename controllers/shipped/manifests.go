package shipped

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/lull-dev/lull/deploy"
)

// AccountIn is the operator's account in a namespace, as the API server calls it.
func AccountIn(namespace string) string {
	parts := strings.Split(deploy.Account, ":")
	parts[2] = namespace
	return strings.Join(parts, ":")
}

// manifests are the policies, bindings and CRDs as they were shipped, for an operator
// of that account and image.
func manifests(account, image string) (all []*unstructured.Unstructured, err error) {
	names, err := fs.Glob(deploy.Bounds, "*/*.yaml")
	if err != nil {
		return nil, err
	}
	told := strings.NewReplacer(deploy.Account, account, deploy.Image, image)
	for _, name := range names {
		if path.Base(name) == "kustomization.yaml" {
			continue
		}
		text, err := fs.ReadFile(deploy.Bounds, name)
		if err != nil {
			return nil, err
		}
		objects, err := objectsIn(told.Replace(string(text)))
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

// objectsIn are the objects of a file, with numbers as the API's clients read them.
func objectsIn(text string) (all []*unstructured.Unstructured, err error) {
	documents := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		asJSON, err := yaml.ToJSON(document)
		if err != nil {
			return nil, err
		}
		obj := &unstructured.Unstructured{}
		if err := obj.UnmarshalJSON(asJSON); err != nil {
			return nil, err
		}
		all = append(all, obj)
	}
}
