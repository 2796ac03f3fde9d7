package component

import (
	"embed"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/lull-dev/lull/test/cluster/internal/host"
	"github.com/lull-dev/lull/test/cluster/internal/layout"
)

// PauseImage is what holds a pod's namespaces open.
const PauseImage = "lull.dev/pause:test"

//go:embed files
var files embed.FS

var templates = template.Must(template.ParseFS(files, "files/*"))

// fill returns the text of a file, with names and places filled in.
func fill(name string, machine Machine) string {
	var text strings.Builder
	err := templates.ExecuteTemplate(&text, name, map[string]any{
		"Run":              layout.Run,
		"PKI":              layout.PKI,
		"Config":           layout.Config,
		"Logs":             layout.Logs,
		"Kubelet":          layout.Kubelet,
		"Containerd":       layout.Containerd,
		"ContainerdState":  layout.ContainerdState,
		"ContainerdSocket": layout.ContainerdSocket,
		"CNI":              layout.CNI,
		"CNINetwork":       layout.CNINetwork,
		"CNIPlugins":       host.CNIPlugins,
		"Bridge":           layout.Bridge,
		"DNSService":       layout.DNSService,
		"NodeIP":           layout.NodeIP,
		"PodRange":         layout.PodRange,
		"FirstPodIP":       layout.FirstPodIP,
		"LastPodIP":        layout.LastPodIP,
		"Cgroup":           layout.Cgroup,
		"PauseImage":       PauseImage,
		"Snapshotter":      machine.Snapshotter(),
		"RestrictOOM":      machine.RestrictOOM,
	})
	if err != nil {
		panic(err) // the templates are ours, and a test fills them
	}
	return text.String()
}

func configFile(name string) string { return filepath.Join(layout.Config, name) }
