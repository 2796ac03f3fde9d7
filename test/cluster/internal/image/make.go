package image

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/lull-dev/lull/test/cluster/internal/build"
	"github.com/lull-dev/lull/test/cluster/internal/cache"
)

// usualSuite is the Debian release that images are made of that name no other,
// whatever the machine's.
const usualSuite = "bookworm"

// A Maker makes images.
type Maker struct{ *build.Builder }

// An Archive is an image in a file that containerd can import.
type Archive struct {
	Name, Path string
	Key        string // differs when the image does
	Size       int64  // of the file
}

// Archive returns an image's archive, made if it needs to be.
func (m Maker) Archive(ctx context.Context, spec Spec) (Archive, error) {
	var programs []string
	for _, program := range spec.Programs {
		path, err := m.Program(ctx, program)
		if err != nil {
			return Archive{}, err
		}
		programs = append(programs, path)
	}
	key, err := cache.Key(append([]string{usualSuite}, programs...), []string{spec.dir}, nil)
	if err != nil {
		return Archive{}, err
	}
	path, err := m.Cache.Get("images", spec.Short(), key, func(temporary string) error {
		return m.Report.Step("making the image "+spec.Name, nil, func() error {
			return m.write(ctx, spec, programs, temporary)
		})
	})
	if err != nil {
		return Archive{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Archive{}, err
	}
	return Archive{Name: spec.Name, Path: path, Key: key, Size: info.Size()}, nil
}

// write makes the image's layers and writes its archive.
func (m Maker) write(ctx context.Context, spec Spec, programs []string, path string) error {
	var layers []v1.Layer
	if spec.Debian != nil {
		file, err := m.debian(ctx, spec.Short(), *spec.Debian)
		if err != nil {
			return err
		}
		layer, err := tarball.LayerFromFile(file)
		if err != nil {
			return err
		}
		layers = append(layers, layer)
	}
	layer, err := filesLayer(spec.rootFiles(), programs)
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, append(layers, layer)...)
	if err != nil {
		return err
	}
	if image, err = configure(image, spec.Config); err != nil {
		return err
	}
	tag, err := name.NewTag(spec.Name)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(path, tag, image)
}

func configure(image v1.Image, config v1.Config) (v1.Image, error) {
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", runtime.GOARCH, config
	return mutate.ConfigFile(image, file)
}

// debian returns the archive of a file system of Debian packages. It has a
// cache entry of its own, since an image's scripts change more often.
func (m Maker) debian(ctx context.Context, short string, d Debian) (string, error) {
	description, err := json.Marshal(d)
	if err != nil {
		return "", err
	}
	key, err := cache.Key([]string{usualSuite, string(description)}, nil, nil)
	if err != nil {
		return "", err
	}
	return m.Cache.Get("layers", short, key, func(temporary string) error {
		return m.bootstrap(ctx, d, temporary)
	})
}

// bootstrap makes a file system of Debian packages.
func (m Maker) bootstrap(ctx context.Context, d Debian, path string) error {
	// mmdebstrap tells by the name what to write.
	archive := path + ".tar"
	script := filepath.Join(m.Checkout, "test", "tools", "mmdebstrap.sh")
	args := []string{script, cmp.Or(d.Suite, usualSuite), archive, "--variant=" + d.Variant, "--include=" + strings.Join(d.Packages, ",")}
	for _, unwanted := range []string{"doc", "man", "info", "locale", "lintian", "bug"} {
		args = append(args, "--dpkgopt=path-exclude=/usr/share/"+unwanted+"/*")
	}
	// What is only extracted isn't customised either: its last hook is another.
	hook := "customize"
	if d.Variant == "extract" {
		hook = "extract"
	}
	args = append(args, fmt.Sprintf("--%s-hook=%s", hook, d.Customize))
	cmd := exec.CommandContext(ctx, "sh", args...)
	cmd.Dir = filepath.Dir(path)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mmdebstrap: %w\n%s", err, strings.TrimSpace(string(output)))
	}
	return os.Rename(archive, path)
}
