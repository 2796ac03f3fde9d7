package framework

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"

	cryptossh "golang.org/x/crypto/ssh"
)

// certificateLife is longer than any spec.
const certificateLife = 24 * time.Hour

// certificateFor is a certificate and its key for a server at an address, and the
// certificate of the authority that has signed it, in PEM.
func certificateFor(address net.IP) (ca, certificate, key []byte, err error) {
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority of the tests"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "a server of the tests"},
		IPAddresses: []net.IP{address}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	ofAuthority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	ofServer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	if ca, err = signed(authority, authority, ofAuthority.Public(), ofAuthority); err != nil {
		return nil, nil, nil, err
	}
	if certificate, err = signed(server, authority, ofServer.Public(), ofAuthority); err != nil {
		return nil, nil, nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(ofServer)
	return ca, certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), err
}

func signed(certificate, by *x509.Certificate, public, key crypto.PublicKey) ([]byte, error) {
	certificate.NotBefore, certificate.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(certificateLife)
	raw, err := x509.CreateCertificate(rand.Reader, certificate, by, public, key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), err
}

// sshKeys are a new key: its line for authorized_keys, and the private one in PEM.
func sshKeys() (public, private []byte, err error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	signer, err := cryptossh.NewSignerFromKey(key)
	if err != nil {
		return nil, nil, err
	}
	block, err := cryptossh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, nil, err
	}
	return cryptossh.MarshalAuthorizedKey(signer.PublicKey()), pem.EncodeToMemory(block), nil
}
