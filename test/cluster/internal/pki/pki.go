// Package pki makes the cluster's certificates, and the kubeconfig files by
// which its programs and its users reach the API server.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity is long, since a cluster for tests has nobody who renews.
const validity = 10 * 365 * 24 * time.Hour

// A Folder holds an authority and what it has certified: NAME.crt and NAME.key.
// What is there already is left as it is.
type Folder string

// CertFile is the file with a certificate.
func (f Folder) CertFile(name string) string { return filepath.Join(string(f), name+".crt") }

// KeyFile is the file with a private key.
func (f Folder) KeyFile(name string) string { return filepath.Join(string(f), name+".key") }

// Authority is the name of the authority's own certificate.
const Authority = "ca"

// MakeAuthority makes the authority.
func (f Folder) MakeAuthority() error {
	return f.make(Authority, &x509.Certificate{
		Subject:               pkix.Name{CommonName: "lull-cluster"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
	})
}

// MakeClient certifies a user of the API, member of groups.
func (f Folder) MakeClient(name, user string, groups ...string) error {
	return f.make(name, &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// MakeServer certifies a server known by names and addresses.
func (f Folder) MakeServer(name string, names []string, addresses ...string) error {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    names,
	}
	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(address))
	}
	return f.make(name, template)
}

// MakeKey makes a key without a certificate, with its public half in NAME.pub.
func (f Folder) MakeKey(name string) error {
	public := filepath.Join(string(f), name+".pub")
	if exists(public) {
		return nil
	}
	key, err := f.newKey(name)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return write(public, "PUBLIC KEY", der)
}

// make makes a key and its certificate. The certificate is written last: where
// it is, the key is.
func (f Folder) make(name string, template *x509.Certificate) error {
	if exists(f.CertFile(name)) {
		return nil
	}
	key, err := f.newKey(name)
	if err != nil {
		return err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(validity)
	parent, signer := template, key
	if !template.IsCA {
		if parent, signer, err = f.authority(); err != nil {
			return err
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", name, err)
	}
	return write(f.CertFile(name), "CERTIFICATE", der)
}

func (f Folder) newKey(name string) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, write(f.KeyFile(name), "EC PRIVATE KEY", der)
}

func (f Folder) authority() (*x509.Certificate, crypto.Signer, error) {
	certificate, err := read(f.CertFile(Authority))
	if err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, nil, err
	}
	der, err := read(f.KeyFile(Authority))
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParseECPrivateKey(der)
	return parsed, key, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func read(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block", path)
	}
	return block.Bytes, nil
}

func write(path, kind string, der []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path+".part", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}
