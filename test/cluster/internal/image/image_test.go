package image

import (
	"archive/tar"
	"errors"
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
		names[spec.Name] = true
		if !strings.HasPrefix(spec.Name, "lull.dev/"+spec.Short()+":") {
			t.Errorf("the image in %s is called %s", spec.Short(), spec.Name)
		}
		if spec.Debian == nil && len(spec.Programs) == 0 {
			t.Errorf("%s is made of nothing", spec.Name)
		}
	}
	if !names["lull.dev/pause:test"] || !names["lull.dev/tools:test"] {
		t.Errorf("the images are %v", slices.Collect(maps.Keys(names)))
	}
}

func TestImagesAreChosenByTheirFolders(t *testing.T) {
	specs := []Spec{{dir: "/c/test/images/mariadb"}, {dir: "/c/test/images/pause"}}
	chosen, err := Choose(specs, []string{"pause"})
	if err != nil || len(chosen) != 1 || chosen[0].Short() != "pause" {
		t.Errorf("chosen are %v, %v", chosen, err)
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
