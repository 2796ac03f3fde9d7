package image

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/lull-dev/lull/test/cluster/internal/layout"
)

// Load imports an image archive into the cluster's containerd, where the
// kubelet finds it.
func Load(ctx context.Context, path, snapshotter string) error {
	cmd := exec.CommandContext(ctx, "ctr", "--address", layout.ContainerdSocket, "--namespace", "k8s.io",
		"images", "import", "--snapshotter", snapshotter, path)
	// Marked, so that down finds it where up was killed meanwhile.
	cmd.Env = append(os.Environ(), layout.Marker)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("load %s: %w: %s", path, err, bytes.TrimSpace(output))
	}
	return nil
}

// Loaded says whether an archive has been loaded, according to a note.
func (a Archive) Loaded() bool {
	key, err := os.ReadFile(a.note())
	return err == nil && string(key) == a.Key
}

// NoteLoaded notes that an archive has been loaded.
func (a Archive) NoteLoaded() error {
	return os.WriteFile(a.note(), []byte(a.Key), 0o644)
}

func (a Archive) note() string {
	return filepath.Join(layout.LoadedImages, strings.ReplaceAll(a.Name, "/", "_"))
}
