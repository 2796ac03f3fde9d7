package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Before is how the machine was before the cluster, as far as the cluster
// changes it outside its own folders.
type Before struct {
	Boot     string            `json:"boot"`     // which start of the machine that was
	Settings map[string]string `json:"settings"` // kernel settings and their values
	Absent   []string          `json:"absent"`   // folders that were not there
}

// settings that the kubelet, kube-proxy and the network's plug-ins write.
var settings = []string{
	"kernel/panic",
	"kernel/panic_on_oops",
	"kernel/keys/root_maxkeys",
	"kernel/keys/root_maxbytes",
	"vm/overcommit_memory",
	"vm/panic_on_oom",
	"net/ipv4/ip_forward",
	"net/ipv4/conf/all/route_localnet",
	"net/ipv6/conf/all/forwarding",
	"net/bridge/bridge-nf-call-iptables",
	"net/netfilter/nf_conntrack_max",
	"net/netfilter/nf_conntrack_tcp_timeout_established",
	"net/netfilter/nf_conntrack_tcp_timeout_close_wait",
}

// strays are folders that programs of the cluster write to and whose place can't
// be set.
var strays = []string{
	"/etc/cni",
	"/opt/cni",
	"/opt/containerd",
	"/run/containerd",
	"/run/netns",
	"/run/runc",
	"/usr/libexec/kubernetes",
	"/var/lib/cni",
	"/var/lib/kubelet",
	"/var/log/containers",
	"/var/log/pods",
}

// Note writes down how the machine is, once: a file that is there already tells
// of the time before the cluster, and stays.
func Note(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	before := Before{Boot: boot(), Settings: map[string]string{}}
	for _, setting := range settings {
		if value, err := os.ReadFile(filepath.Join("/proc/sys", setting)); err == nil {
			before.Settings[setting] = strings.TrimSpace(string(value))
		}
	}
	for _, stray := range strays {
		if _, err := os.Lstat(stray); errors.Is(err, fs.ErrNotExist) {
			before.Absent = append(before.Absent, stray)
		}
	}
	text, err := json.MarshalIndent(before, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".part", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

// SameBoot says whether a note was made since the machine was last started.
func SameBoot(path string) bool {
	before, err := read(path)
	return err == nil && before.Boot == boot()
}

func boot() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

func read(path string) (Before, error) {
	var before Before
	text, err := os.ReadFile(path)
	if err != nil {
		return before, err
	}
	if err := json.Unmarshal(text, &before); err != nil {
		return before, fmt.Errorf("%s: %w", path, err)
	}
	return before, nil
}

// Restore makes the machine as a note says that it was. Without a note there is
// nothing to make good.
func Restore(path string) error {
	before, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, stray := range before.Absent {
		if err := os.RemoveAll(stray); err != nil {
			return err
		}
	}
	for setting, value := range before.Settings {
		if err := set(setting, value); err != nil {
			return err
		}
	}
	return nil
}

func set(setting, value string) error {
	path := filepath.Join("/proc/sys", setting)
	now, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) { // it went with what it was for
		return nil
	}
	if err != nil || strings.TrimSpace(string(now)) == value {
		return err
	}
	return os.WriteFile(path, []byte(value), 0o644)
}
