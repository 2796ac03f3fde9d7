package component

import (
	"github.com/lull-dev/lull/test/cluster/internal/layout"
)

func containerd(machine Machine) Component {
	config := configFile("containerd.toml")
	return Component{
		Name: Containerd,
		Args: []string{"--config=" + config},
		Files: map[string]string{
			config:                                fill("containerd.toml", machine),
			layout.CNI + "/conf/10-lull.conflist": fill("cni.conflist", machine),
		},
		Ready: containerdReady,
	}
}

func kubelet() Component {
	config := configFile("kubelet.yaml")
	return Component{
		Name: Kubelet,
		Args: []string{
			"--config=" + config,
			"--kubeconfig=" + layout.KubeconfigOf(Kubelet),
			"--root-dir=" + layout.Kubelet,
			"--hostname-override=" + layout.NodeName,
			"--node-ip=" + layout.NodeIP,
		},
		Files: map[string]string{
			config: fill("kubelet.yaml", Machine{}),
			// The machine's name servers are out of the pods' reach.
			configFile("resolv.conf"): "",
		},
		Ready: nodeReady,
	}
}
