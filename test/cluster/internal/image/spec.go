// Package image makes container images without a registry and without a daemon:
// from Debian packages, from programs of ours, and from files.
package image

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"sigs.k8s.io/yaml"
)

// A Spec says what an image is made of. It is image.yaml in a folder of
// test/images; the files in the folder root beside it come to lie over the rest.
type Spec struct {
	Name     string    `json:"name"`     // as pods name it
	Debian   *Debian   `json:"debian"`   // the lowest layer
	Programs []string  `json:"programs"` // programs of ours, put in the root folder
	Config   v1.Config `json:"config"`

	dir string
}

// Debian is a file system made of Debian packages.
type Debian struct {
	Variant   string   `json:"variant"` // mmdebstrap's: minbase, or extract for the packages alone
	Packages  []string `json:"packages"`
	Customize string   `json:"customize"` // a shell script, with the file system's folder as $1
}

// ReadSpecs reads the images of a checkout.
func ReadSpecs(checkout string) ([]Spec, error) {
	paths, err := filepath.Glob(filepath.Join(checkout, "test", "images", "*", "image.yaml"))
	if err != nil {
		return nil, err
	}
	var specs []Spec
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		spec := Spec{dir: filepath.Dir(path)}
		if err := yaml.UnmarshalStrict(text, &spec); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// Choose returns the images of these short names.
func Choose(specs []Spec, names []string) ([]Spec, error) {
	var chosen []Spec
	for _, name := range names {
		i := slices.IndexFunc(specs, func(s Spec) bool { return s.Short() == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no image %q in test/images", name)
		}
		chosen = append(chosen, specs[i])
	}
	return chosen, nil
}

// Short is the image's name in the cache and in what is told: its folder's.
func (s Spec) Short() string { return filepath.Base(s.dir) }

// rootFiles is the folder with files that come to lie over the rest.
func (s Spec) rootFiles() string { return filepath.Join(s.dir, "root") }
