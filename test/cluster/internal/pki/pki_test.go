package pki

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

func TestACertifiedClientIsWhoItSays(t *testing.T) {
	folder := Folder(t.TempDir())
	makeAll := func() {
		t.Helper()
		if err := folder.MakeAuthority(); err != nil {
			t.Fatal(err)
		}
		if err := folder.MakeClient("kubelet", "system:node:lull", "system:nodes"); err != nil {
			t.Fatal(err)
		}
	}
	makeAll()
	first, err := os.ReadFile(folder.CertFile("kubelet"))
	if err != nil {
		t.Fatal(err)
	}

	roots := x509.NewCertPool()
	authority, _ := os.ReadFile(folder.CertFile(Authority))
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatal("the authority's certificate can't be read")
	}
	der, err := read(folder.CertFile("kubelet"))
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: usage}); err != nil {
		t.Error(err)
	}
	subject := certificate.Subject
	if subject.CommonName != "system:node:lull" || len(subject.Organization) != 1 || subject.Organization[0] != "system:nodes" {
		t.Errorf("the client is %s", subject)
	}

	makeAll()
	if again, _ := os.ReadFile(folder.CertFile("kubelet")); !bytes.Equal(first, again) {
		t.Error("a certificate that was there was made anew")
	}
}

func TestAKubeconfigStandsAlone(t *testing.T) {
	folder := Folder(t.TempDir())
	if err := folder.MakeAuthority(); err != nil {
		t.Fatal(err)
	}
	if err := folder.MakeClient("admin", "admin", "system:masters"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := folder.WriteKubeconfig(path, "admin", "https://10.0.0.1:6443"); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://10.0.0.1:6443" || len(config.CAData) == 0 || len(config.CertData) == 0 || len(config.KeyData) == 0 {
		t.Errorf("the kubeconfig lacks something: %v", config)
	}
}
