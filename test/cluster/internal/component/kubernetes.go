package component

import (
	"github.com/lull-dev/lull/test/cluster/internal/layout"
	"github.com/lull-dev/lull/test/cluster/internal/pki"
)

var certificates = pki.Folder(layout.PKI)

func etcd() Component {
	return Component{
		Name: Etcd,
		Args: []string{
			"--name=" + layout.NodeName,
			"--data-dir=" + layout.Etcd,
			"--listen-client-urls=" + layout.EtcdURL,
			"--advertise-client-urls=" + layout.EtcdURL,
			"--listen-peer-urls=http://127.0.0.1:2380",
			"--initial-advertise-peer-urls=http://127.0.0.1:2380",
			"--initial-cluster=" + layout.NodeName + "=http://127.0.0.1:2380",
			// It may lose data when the machine stops, which ends the cluster
			// anyway. When only etcd is killed, the kernel still writes it.
			"--unsafe-no-fsync",
			"--auto-compaction-retention=1h",
		},
		Ready: answers(layout.EtcdURL + "/readyz"),
	}
}

func apiServer() Component {
	audit := configFile("audit.yaml")
	return Component{
		Name:  APIServer,
		Files: map[string]string{audit: fill("audit.yaml", Machine{})},
		Args: []string{
			"--bind-address=" + layout.NodeIP,
			"--advertise-address=" + layout.NodeIP,
			"--etcd-servers=" + layout.EtcdURL,
			"--service-cluster-ip-range=" + layout.Services,
			"--allow-privileged=true",
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--client-ca-file=" + certificates.CertFile(pki.Authority),
			"--tls-cert-file=" + certificates.CertFile("kube-apiserver"),
			"--tls-private-key-file=" + certificates.KeyFile("kube-apiserver"),
			"--kubelet-client-certificate=" + certificates.CertFile("kube-apiserver-client"),
			"--kubelet-client-key=" + certificates.KeyFile("kube-apiserver-client"),
			"--kubelet-certificate-authority=" + certificates.CertFile(pki.Authority),
			"--kubelet-preferred-address-types=InternalIP",
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + layout.PKI + "/service-accounts.pub",
			"--service-account-signing-key-file=" + certificates.KeyFile("service-accounts"),
			// A webhook in a pod is called at the pod's address: one thing less
			// that must be up.
			"--enable-aggregator-routing=true",
			"--audit-policy-file=" + audit,
			"--audit-log-path=" + layout.Log("audit"),
			// A long run of the fault suite is judged by it at its end. Of 50 MB
			// a few are left once they are compressed.
			"--audit-log-maxsize=50", // MB
			"--audit-log-maxbackup=20",
			"--audit-log-compress",
			"--profiling=false",
		},
		Ready: apiServerReady,
	}
}

func controllerManager() Component {
	kubeconfig := layout.KubeconfigOf(ControllerManager)
	return Component{
		Name: ControllerManager,
		Args: []string{
			"--kubeconfig=" + kubeconfig,
			"--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1",
			"--leader-elect=false",
			"--use-service-account-credentials=true",
			"--service-account-private-key-file=" + certificates.KeyFile("service-accounts"),
			"--root-ca-file=" + certificates.CertFile(pki.Authority),
			"--cluster-signing-cert-file=" + certificates.CertFile(pki.Authority),
			"--cluster-signing-key-file=" + certificates.KeyFile(pki.Authority),
			"--kube-api-qps=100",
			"--kube-api-burst=200",
			"--profiling=false",
		},
		Ready: answers("https://127.0.0.1:10257/healthz"),
	}
}

func scheduler() Component {
	kubeconfig := layout.KubeconfigOf(Scheduler)
	return Component{
		Name: Scheduler,
		Args: []string{
			"--kubeconfig=" + kubeconfig,
			"--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1",
			"--leader-elect=false",
			"--profiling=false",
		},
		Ready: answers("https://127.0.0.1:10259/readyz"),
	}
}

func kubeProxy() Component {
	return Component{
		Name: KubeProxy,
		Args: []string{
			"--kubeconfig=" + layout.KubeconfigOf(KubeProxy),
			"--hostname-override=" + layout.NodeName,
			"--proxy-mode=iptables",
			"--cluster-cidr=" + layout.PodRange,
			"--nodeport-addresses=" + layout.PodRange,
			"--healthz-bind-address=127.0.0.1:10256",
			"--metrics-bind-address=127.0.0.1:10249",
			// The settings of connection tracking are the machine's: leave them.
			"--conntrack-max-per-core=0",
			"--conntrack-tcp-timeout-established=0s",
			"--conntrack-tcp-timeout-close-wait=0s",
		},
		Ready: answers("http://127.0.0.1:10256/healthz"),
	}
}
