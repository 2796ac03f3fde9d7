// Package image makes container images without a registry and without a daemon:
// from Debian packages, from programs of ours, and from files.
package image

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

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

	// Versions are further images of the same description, by their tags.
	Versions map[string]Version `json:"versions"`

	dir string
}

// everywhere is the tag of the images that each cluster has. Those with another are
// made only where they are named.
const everywhere = "test"

// Version is what is different about an image of another release of Debian.
type Version struct {
	Suite    string   `json:"suite"`
	Packages []string `json:"packages"` // the same where there are none
}

// Debian is a file system made of Debian packages.
type Debian struct {
	Suite     string   `json:"suite,omitempty"` // the release of Debian, bookworm where it is empty
	Variant   string   `json:"variant"`         // mmdebstrap's: minbase, or extract for the packages alone
	Packages  []string `json:"packages"`
	Customize string   `json:"customize"` // a shell script, with the file system's folder as $1
}

// ReadSpecs reads the images of a checkout, of each folder all versions.
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
		for _, tag := range slices.Sorted(maps.Keys(spec.Versions)) {
			specs = append(specs, spec.version(tag))
		}
	}
	return specs, nil
}

// version is the image of another version.
func (s Spec) version(tag string) Spec {
	other := s.Versions[tag]
	folder, _ := s.nameAndTag()
	s.Name = folder + ":" + tag
	debian := *s.Debian
	debian.Suite = other.Suite
	if len(other.Packages) > 0 {
		debian.Packages = other.Packages
	}
	s.Debian = &debian
	return s
}

// Choose returns the images of these short names, or with no names those that each
// cluster has.
func Choose(specs []Spec, names []string) ([]Spec, error) {
	var chosen []Spec
	if len(names) == 0 {
		for _, spec := range specs {
			if _, tag := spec.nameAndTag(); tag == everywhere {
				chosen = append(chosen, spec)
			}
		}
	}
	for _, name := range names {
		i := slices.IndexFunc(specs, func(s Spec) bool { return s.Short() == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no image %q in test/images", name)
		}
		chosen = append(chosen, specs[i])
	}
	return chosen, nil
}

// Short is the image's name in the cache and in what is told: its folder's, and its
// tag where that isn't what all have.
func (s Spec) Short() string {
	folder := filepath.Base(s.dir)
	if _, tag := s.nameAndTag(); tag != everywhere {
		return folder + "-" + tag
	}
	return folder
}

func (s Spec) nameAndTag() (name, tag string) {
	name, tag, _ = strings.Cut(s.Name, ":")
	return name, tag
}

// rootFiles is the folder with files that come to lie over the rest.
func (s Spec) rootFiles() string { return filepath.Join(s.dir, "root") }
