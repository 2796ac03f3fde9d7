package workload

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// aMountingPod has the containers db and other, and a sidecar agent. The words of a mount
// are container, volume and folder, and maybe ro or raw.
func aMountingPod(mounts ...string) *corev1.Pod {
	claim := func(name string) corev1.VolumeSource {
		return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}
	}
	p := &corev1.Pod{}
	p.Spec.Volumes = []corev1.Volume{
		{Name: "data", VolumeSource: claim("data-db-0")}, {Name: "log", VolumeSource: claim("log-db-0")},
		{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "memory", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}},
		{Name: "ephemeral", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}},
		{Name: "settings", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}},
	}
	p.Spec.Containers = []corev1.Container{{Name: "db"}, {Name: "other"}}
	p.Spec.InitContainers = []corev1.Container{{Name: "agent", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}}
	for _, mount := range mounts {
		words := strings.Fields(mount)
		c := map[string]*corev1.Container{"db": &p.Spec.Containers[0], "other": &p.Spec.Containers[1], "agent": &p.Spec.InitContainers[0]}[words[0]]
		if strings.HasSuffix(mount, " raw") {
			c.VolumeDevices = append(c.VolumeDevices, corev1.VolumeDevice{Name: words[1], DevicePath: words[2]})
			continue
		}
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: words[1], MountPath: words[2], ReadOnly: strings.HasSuffix(mount, " ro")})
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
		"itself filled":                  {[]string{"db data /data", "db settings /data/log"}, "db", "/data/log", []string{"settings"}},
		"what can't be written to":       {[]string{"db data /data", "db log /data/old ro"}, "db", "/data", []string{"data backed up"}},
		"what is in memory":              {[]string{"db data /data", "db memory /data/tmp"}, "db", "/data", []string{"data backed up"}},
		"itself in memory":               {[]string{"db data /data", "db memory /data/tmp"}, "db", "/data/tmp", []string{"memory"}},
		"a block device":                 {[]string{"db data /dev/data raw"}, "db", "/dev/data", []string{"data backed up"}},
		"a claim that ends with its pod": {[]string{"db data /data", "db ephemeral /log"}, "db", "/log", []string{"ephemeral"}},
		"of its own container":           {[]string{"db data /data", "agent scratch /data", "agent data /copy"}, "agent", "/data", []string{"scratch"}},
		"of the one that has it there":   {[]string{"db data /data", "agent data /copy"}, "agent", "/data", []string{"data backed up"}},
		"of the one that has the claims": {[]string{"db data /data", "agent scratch /data"}, "agent", "/data", []string{"data backed up"}},
		"of its own, where none has":     {[]string{"db log /data", "agent scratch /tmp"}, "agent", "/tmp", []string{"scratch"}},
		"not of a third":                 {[]string{"db data /data", "db scratch /data/log", "other data /data/log"}, "agent", "/data/log", []string{"scratch"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, m := range Under(MountsFor(aMountingPod(c.mounts...), c.container, []string{"data-db-0"}), c.folder) {
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
