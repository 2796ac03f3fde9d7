// Package layout says where everything of the cluster is: its folders, its
// addresses, its names. There is one cluster to a machine, so these are fixed.
package layout

import "path/filepath"

const (
	// Root holds all that the cluster keeps. Removing it forgets the cluster.
	Root = "/var/lib/lull-cluster"
	// Run holds sockets, whose paths may not be longer than 107 characters, and
	// what a reboot ends anyway.
	Run = "/run/lull-cluster"

	// Marker is in the environment of every process that the cluster starts, and
	// of what those start: by it they are found when all other trace is lost.
	Marker = "LULL_CLUSTER=" + Root

	// NodeName is the name of the only node.
	NodeName = "lull"
	// DriverName is the name of the CSI driver in test/csidriver.
	DriverName = "disk.csi.lull.dev"
	// Cgroup is the parent of all pods' cgroups, in each hierarchy.
	Cgroup = "lull"
)

// The network. The bridge's address is the node's, the API server's and the
// pods' gateway, so that the cluster works alike on a machine with any network
// or none.
const (
	Bridge      = "lull0"
	NodeIP      = "10.199.0.1"
	PodRange    = "10.199.0.0/24"
	FirstPodIP  = "10.199.0.10"
	LastPodIP   = "10.199.0.254"
	Services    = "10.199.128.0/18"
	APIService  = "10.199.128.1"
	DNSService  = "10.199.128.10"
	APIEndpoint = "https://" + NodeIP + ":6443"
	EtcdURL     = "http://127.0.0.1:2379"
	// CNINetwork names the network in files that CNI writes where it likes.
	CNINetwork = "lull"
)

// Folders and files below Root and Run.
const (
	Kubeconfig       = Root + "/kubeconfig"
	PKI              = Root + "/pki"
	Config           = Root + "/config"
	Logs             = Root + "/logs"
	Etcd             = Root + "/etcd"
	Kubelet          = Root + "/kubelet"
	Containerd       = Root + "/containerd"
	CNI              = Root + "/cni"
	CSI              = Root + "/csi"
	LoadedImages     = Root + "/images"
	Before           = Root + "/before.json"
	Processes        = Run + "/processes"
	ContainerdState  = Run + "/containerd"
	ContainerdSocket = Run + "/containerd.sock"
	CSISocket        = Run + "/csi.sock"
)

// Log is the file with a component's output.
func Log(component string) string {
	return filepath.Join(Logs, component+".log")
}

// KubeconfigOf is the file by which a component reaches the API server.
func KubeconfigOf(component string) string {
	return filepath.Join(Config, component+".kubeconfig")
}
