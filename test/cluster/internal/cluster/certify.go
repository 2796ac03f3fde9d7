package cluster

import (
	"github.com/lull-dev/lull/test/cluster/internal/component"
	"github.com/lull-dev/lull/test/cluster/internal/layout"
	"github.com/lull-dev/lull/test/cluster/internal/pki"
)

// A user of the API: a component, or a person.
type user struct {
	file, name string
	groups     []string
	kubeconfig string
}

// users have a certificate each, so that the API server knows who does what.
// What they may do, Kubernetes' own roles say, and files/rbac.yaml in objects.
var users = []user{
	{"admin", "lull-cluster:admin", []string{"system:masters"}, layout.Kubeconfig},
	programUser(component.ControllerManager, "system:kube-controller-manager"),
	programUser(component.Scheduler, "system:kube-scheduler"),
	programUser(component.KubeProxy, "system:kube-proxy"),
	programUser(component.Kubelet, "system:node:"+layout.NodeName, "system:nodes"),
	programUser(component.SnapshotController, "lull-cluster:"+component.SnapshotController),
	programUser(component.Snapshotter, "lull-cluster:"+component.Snapshotter),
	programUser(component.Provisioner, "lull-cluster:"+component.Provisioner),
	programUser(component.Resizer, "lull-cluster:"+component.Resizer),
}

func programUser(name, identity string, groups ...string) user {
	return user{name, identity, groups, layout.KubeconfigOf(name)}
}

// certify makes what is missing of certificates, keys and kubeconfigs.
func certify() error {
	folder := pki.Folder(layout.PKI)
	if err := folder.MakeAuthority(); err != nil {
		return err
	}
	names := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"}
	if err := folder.MakeServer("kube-apiserver", names, layout.NodeIP, layout.APIService, "127.0.0.1"); err != nil {
		return err
	}
	if err := folder.MakeServer("kubelet-server", []string{layout.NodeName}, layout.NodeIP); err != nil {
		return err
	}
	if err := folder.MakeClient("kube-apiserver-client", "kube-apiserver", "system:masters"); err != nil {
		return err
	}
	if err := folder.MakeKey("service-accounts"); err != nil {
		return err
	}
	for _, u := range users {
		if err := folder.MakeClient(u.file, u.name, u.groups...); err != nil {
			return err
		}
		if err := folder.WriteKubeconfig(u.kubeconfig, u.file, layout.APIEndpoint); err != nil {
			return err
		}
	}
	return nil
}
