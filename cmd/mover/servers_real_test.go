//go:build real

package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	pkgsftp "github.com/pkg/sftp"
	cryptossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	resticexport "github.com/lull-dev/lull/restic-export"
)

var restServerListensAt = regexp.MustCompile(`start server on (\S+)`)

// aServer is a rest-server at an address, with one user, whose password is given.
func aServer(t *testing.T, password string, flags ...string) (address string) {
	t.Helper()
	folder := t.TempDir()
	sum := sha1.Sum([]byte(password))
	line := "me:{SHA}" + base64.StdEncoding.EncodeToString(sum[:]) + "\n"
	if err := os.WriteFile(filepath.Join(folder, ".htpasswd"), []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program(t, "REST_SERVER"), append([]string{"--listen=127.0.0.1:0", "--path=" + folder}, flags...)...)
	return listening(t, cmd, restServerListensAt)
}

func user(password string) []string {
	return []string{"RESTIC_REST_USERNAME=me", "RESTIC_REST_PASSWORD=" + password}
}

// moves has a volume exported and restored.
func (b *testbed) moves() *resticexport.ExportedSnapshot {
	b.t.Helper()
	b.done(resticexport.Task{Init: &resticexport.Init{}})
	b.write("a", "a")
	want := tree(b.t, b.mover.data)
	snapshot := b.backup(aBackup("data", noon))
	target := b.onto()
	b.done(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: snapshot.SnapshotID}})
	compare(b.t, want, tree(b.t, target))
	return snapshot
}

func TestTheMoverMovesByREST(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	at := "rest:http://" + aServer(t, "open") + "/shop/"
	b.at(at, user("wrong")...)
	b.fails(resticexport.Task{Init: &resticexport.Init{}}, resticexport.CauseAccessDenied, "401")
	b.at(at, user("open")...)
	b.moves()
}

func TestTheMoverMayOnlyAppend(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	b.at("rest:http://"+aServer(t, "open", "--append-only")+"/", user("open")...)
	snapshot := b.moves()
	b.fails(resticexport.Task{Forget: &resticexport.Forget{IDs: []string{snapshot.SnapshotID}}}, resticexport.CauseAccessDenied, "unable to remove")
	b.done(resticexport.Task{Find: &resticexport.Find{SnapshotID: snapshot.SnapshotID}})
}

func TestTheMoverTrustsNoOtherCertificate(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	certificate, key := aCertificate(t)
	at := "rest:https://" + aServer(t, "open", "--tls", "--tls-cert="+certificate, "--tls-key="+key) + "/"
	b.at(at, user("open")...)
	b.fails(resticexport.Task{Init: &resticexport.Init{}}, resticexport.CauseUntrusted, "x509")
	b.at(at, append(user("open"), resticexport.EnvCACert+"="+certificate)...)
	b.moves()
}

func TestTheMoverTellsWhereNobodyAnswers(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.mover.restic.patience = 2 * time.Second
	b.at("rest:http://" + listener.Addr().String() + "/")
	b.fails(resticexport.Task{Open: &resticexport.Open{}}, resticexport.CauseUnreachable, "doesn't answer within 10s")
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	b.fails(resticexport.Task{Init: &resticexport.Init{}}, resticexport.CauseUnreachable, "connection refused")
}

// aCertificate is one of 127.0.0.1, and of hosts, that is signed by itself.
func aCertificate(t *testing.T, hosts ...string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: hosts, IsCA: true, BasicConstraintsValid: true,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	private8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return aPEM(t, "CERTIFICATE", signed), aPEM(t, "PRIVATE KEY", private8)
}

func aPEM(t *testing.T, kind string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sshServer is an SSH server that serves a folder by sftp, to whoever has a key.
type sshServer struct {
	address    string
	known, key string
	// isUnheard: what the client says on its standard error is lost, as where restic
	// ends before it has read it.
	isUnheard bool
}

func anSSHServer(t *testing.T, folder string) sshServer {
	t.Helper()
	signer, _ := aKey(t)
	client, key := aKey(t)
	config := &cryptossh.ServerConfig{PublicKeyCallback: func(_ cryptossh.ConnMetadata, offered cryptossh.PublicKey) (*cryptossh.Permissions, error) {
		if string(offered.Marshal()) != string(client.PublicKey().Marshal()) {
			return nil, errors.New("another key")
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(connection, config, folder)
		}
	}()
	known := filepath.Join(t.TempDir(), "known_hosts")
	line := knownhosts.Line([]string{knownhosts.Normalize(listener.Addr().String())}, signer.PublicKey()) + "\n"
	if err := os.WriteFile(known, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	return sshServer{address: listener.Addr().String(), known: known, key: key}
}

func serve(connection net.Conn, config *cryptossh.ServerConfig, folder string) {
	_, channels, requests, err := cryptossh.NewServerConn(connection, config)
	if err != nil {
		return
	}
	go cryptossh.DiscardRequests(requests)
	for wanted := range channels {
		channel, requests, err := wanted.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "subsystem" && string(r.Payload[4:]) == "sftp", nil)
			}
		}()
		server, err := pkgsftp.NewServer(channel, pkgsftp.WithServerWorkingDirectory(folder))
		if err != nil {
			return
		}
		go func() {
			_ = server.Serve()
			_ = channel.Close()
		}()
	}
}

func aKey(t *testing.T) (signer cryptossh.Signer, path string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err = cryptossh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := cryptossh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, aPEM(t, block.Type, block.Bytes)
}

// by has restic reach the server as a repository of this server has it.
func (b *testbed) by(s sshServer) {
	b.t.Helper()
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.at("sftp://me@" + s.address + "/backups/shop")
	command := strings.Join([]string{
		os.Args[0], resticexport.SSHCommand, "--host=" + host, "--port=" + port, "--user=me", "--key=" + s.key, "--known-hosts=" + s.known,
	}, " ")
	if s.isUnheard {
		script := filepath.Join(b.t.TempDir(), "client")
		b.write(script, "exec "+command+" 2>/dev/null\n")
		command = "/bin/sh " + script
	}
	b.mover.restic.options = []string{"sftp.command=" + command}
}

func TestTheMoverMovesBySFTP(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	folder := t.TempDir()
	server := anSSHServer(t, folder)
	b.by(server)
	b.fails(resticexport.Task{Open: &resticexport.Open{}}, resticexport.CauseNoRepository)
	b.moves()
	if _, err := os.Stat(filepath.Join(folder, "backups", "shop", "config")); err != nil {
		t.Error(err)
	}

	stranger := server
	stranger.known = anSSHServer(t, folder).known
	b.by(stranger)
	b.fails(resticexport.Task{Init: &resticexport.Init{}}, resticexport.CauseUntrusted, "isn't in known_hosts", "ssh-ed25519")

	stranger = server
	_, stranger.key = aKey(t)
	b.by(stranger)
	b.fails(resticexport.Task{Init: &resticexport.Init{}}, resticexport.CauseAccessDenied, "unable to authenticate")
	stranger.isUnheard = true
	b.by(stranger)
	b.fails(resticexport.Task{Init: &resticexport.Init{}}, resticexport.CauseAccessDenied, "unable to authenticate")

	stranger = server
	stranger.key = filepath.Join(t.TempDir(), "none")
	b.by(stranger)
	b.fails(resticexport.Task{Init: &resticexport.Init{}}, resticexport.CauseAccessDenied, "has no ssh-privatekey")
}
