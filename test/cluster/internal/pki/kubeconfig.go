package pki

import (
	"os"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// WriteKubeconfig writes a kubeconfig for a client that MakeClient certified.
// It holds all that it needs, so that it can be copied elsewhere.
func (f Folder) WriteKubeconfig(path, client, server string) error {
	if exists(path) {
		return nil
	}
	authority, err := os.ReadFile(f.CertFile(Authority))
	if err != nil {
		return err
	}
	certificate, err := os.ReadFile(f.CertFile(client))
	if err != nil {
		return err
	}
	key, err := os.ReadFile(f.KeyFile(client))
	if err != nil {
		return err
	}
	const name = "lull"
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{Server: server, CertificateAuthorityData: authority}
	config.AuthInfos[client] = &api.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: client}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, path+".part"); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}
