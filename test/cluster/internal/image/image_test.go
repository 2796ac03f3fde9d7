package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheCheckoutsImagesCanBeRead(t *testing.T) {
	specs, err := ReadSpecs(filepath.Join("..", "..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, spec := range specs {
		if names[spec.Name] {
			t.Errorf("two images are called %s", spec.Name)
		}
		names[spec.Name] = true
		if !strings.HasPrefix(spec.Name, "lull.dev/"+filepath.Base(spec.dir)+":") {
			t.Errorf("the image in %s is called %s", spec.dir, spec.Name)
		}
		if spec.Debian == nil && len(spec.Programs) == 0 {
			t.Errorf("%s is made of nothing", spec.Name)
		}
	}
	if !names["lull.dev/pause:test"] || !names["lull.dev/tools:test"] {
		t.Errorf("the images are %v", slices.Collect(maps.Keys(names)))
	}
}

const described = `name: lull.dev/postgres:test
debian: {variant: minbase, packages: [postgresql], customize: "true"}
versions:
  "17": {suite: trixie, packages: [postgresql-17]}
  "18": {suite: sid}
`

// read has the specs of a checkout with these images.
func read(t *testing.T, images map[string]string) []Spec {
	t.Helper()
	checkout := t.TempDir()
	for folder, description := range images {
		path := filepath.Join(checkout, "test", "images", folder, "image.yaml")
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(description), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	specs, err := ReadSpecs(checkout)
	if err != nil {
		t.Fatal(err)
	}
	return specs
}

func TestAVersionIsTheSameButForItsSuiteAndPackages(t *testing.T) {
	said := []string{}
	for _, s := range read(t, map[string]string{"postgres": described}) {
		said = append(said, fmt.Sprint(s.Short(), " ", s.Name, " ", *s.Debian))
	}
	want := []string{
		"postgres lull.dev/postgres:test { minbase [postgresql] true}",
		"postgres-17 lull.dev/postgres:17 {trixie minbase [postgresql-17] true}",
		"postgres-18 lull.dev/postgres:18 {sid minbase [postgresql] true}",
	}
	if !slices.Equal(said, want) {
		t.Errorf("read are %q", said)
	}
}

func TestImagesAreChosenByTheirShortNames(t *testing.T) {
	specs := read(t, map[string]string{
		"mysql": "name: lull.dev/mysql:9.7", "pause": "name: lull.dev/pause:test", "postgres": described,
	})
	for _, c := range []struct{ names, chosen []string }{
		{nil, []string{"pause", "postgres"}},
		{[]string{"postgres-18", "mysql-9.7"}, []string{"postgres-18", "mysql-9.7"}},
		{[]string{"postgres"}, []string{"postgres"}},
	} {
		var short []string
		chosen, err := Choose(specs, c.names)
		for _, spec := range chosen {
			short = append(short, spec.Short())
		}
		if err != nil || !slices.Equal(short, c.chosen) {
			t.Errorf("of %v chosen are %v, %v", c.names, short, err)
		}
	}
	if _, err := Choose(specs, []string{"oracle"}); err == nil || !strings.Contains(err.Error(), "oracle") {
		t.Errorf("an image that there isn't: %v", err)
	}
}

func TestALayerOfFilesBelongsToRoot(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "usr", "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "usr", "bin", "entrypoint"), []byte("#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(program, []byte("elf"), 0o755); err != nil {
		t.Fatal(err)
	}
	layer, err := filesLayer(folder, []string{program})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := layer.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var names []string
	for archive := tar.NewReader(stream); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		if header.Uid != 0 || header.Gid != 0 || header.Mode&0o755 != 0o755 {
			t.Errorf("%s belongs to %d:%d, mode %o", header.Name, header.Uid, header.Gid, header.Mode)
		}
	}
	if want := []string{"usr/", "usr/bin/", "usr/bin/entrypoint", "pause"}; !slices.Equal(names, want) {
		t.Errorf("the layer holds %v, want %v", names, want)
	}
}

func TestAnImageWithoutFilesOfItsOwnHasAnEmptyLayer(t *testing.T) {
	if _, err := filesLayer(filepath.Join(t.TempDir(), "none"), nil); err != nil {
		t.Error(err)
	}
}
