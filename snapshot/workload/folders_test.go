package workload

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// aMountingPod has a container db and a sidecar agent. The words of a mount are
// container, volume and folder.
func aMountingPod(mounts ...string) *corev1.Pod {
	claim := func(name string) corev1.VolumeSource {
		return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}
	}
	p := &corev1.Pod{}
	p.Spec.Volumes = []corev1.Volume{
		{Name: "data", VolumeSource: claim("data-db-0")}, {Name: "log", VolumeSource: claim("log-db-0")},
		{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "settings", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}},
	}
	p.Spec.Containers = []corev1.Container{{Name: "db"}}
	p.Spec.InitContainers = []corev1.Container{{Name: "agent", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}}
	for _, mount := range mounts {
		words := strings.Fields(mount)
		c := &p.Spec.Containers[0]
		if words[0] == "agent" {
			c = &p.Spec.InitContainers[0]
		}
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: words[1], MountPath: words[2]})
	}
	return p
}

func TestWhatAFolderIsOn(t *testing.T) {
	for name, c := range map[string]struct {
		mounts    []string
		container string
		folder    string
		want      []string
	}{
		"a volume":                       {[]string{"db data /data"}, "db", "/data", []string{"data backed up"}},
		"a folder of one":                {[]string{"db data /data"}, "db", "/data/mysql/", []string{"data backed up"}},
		"none by half of a name":         {[]string{"db data /data"}, "db", "/data2", nil},
		"none":                           {[]string{"db data /data"}, "db", "/var/lib/mysql", nil},
		"the root":                       {[]string{"db data /"}, "db", "/var/lib/mysql", []string{"data backed up"}},
		"another claim's":                {[]string{"db data /data", "db log /log"}, "db", "/log", []string{"log of log-db-0"}},
		"the innermost":                  {[]string{"db data /data", "db scratch /data/log"}, "db", "/data/log/1", []string{"scratch"}},
		"the innermost, whatever order":  {[]string{"db scratch /data/log", "db data /data/"}, "db", "/data/log/1", []string{"scratch"}},
		"and what is in it":              {[]string{"db scratch /data/log", "db data /data"}, "db", "/data", []string{"data backed up", "scratch"}},
		"but for what is filled":         {[]string{"db data /data", "db settings /data/conf.d"}, "db", "/data", []string{"data backed up"}},
		"of its own container":           {[]string{"db data /data", "agent scratch /data", "agent data /copy"}, "agent", "/data", []string{"scratch"}},
		"of the one that has the claims": {[]string{"db data /data", "agent scratch /data"}, "agent", "/data", []string{"data backed up"}},
		"of its own, where none has":     {[]string{"db log /data", "agent scratch /tmp"}, "agent", "/tmp", []string{"scratch"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, m := range Under(MountsIn(aMountingPod(c.mounts...), c.container, []string{"data-db-0"}), c.folder) {
				switch {
				case m.IsBackedUp:
					got = append(got, m.Volume+" backed up")
				case m.Claim != "":
					got = append(got, fmt.Sprintf("%s of %s", m.Volume, m.Claim))
				default:
					got = append(got, m.Volume)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
