//go:build real

package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// reaches has restic reach what a ResticRepository names, by the keys of a Secret.
func (b *testbed) reaches(backend v1alpha1.RepositoryBackend, secret map[string]string, more ...string) {
	b.t.Helper()
	more = slices.Clip(more) // it stays the caller's
	access := resticexport.AccessTo(&v1alpha1.ResticRepositorySpec{Backend: backend, CredentialsSecretRef: &v1alpha1.SecretReference{Name: "keys"}})
	for _, e := range access.Env {
		if e.ValueFrom == nil {
			continue // a path in the pod
		}
		if value, is := secret[e.ValueFrom.SecretKeyRef.Key]; is {
			more = append(more, e.Name+"="+value)
		}
	}
	if content, is := secret[resticexport.KeyGoogleCredentials]; is {
		file := filepath.Join(b.t.TempDir(), filepath.Base(resticexport.GoogleFile))
		b.write(file, content)
		more = append(more, resticexport.KeyGoogleCredentials+"="+file)
	}
	b.at(access.URL, more...)
	b.mover.restic.options = access.Options
}

// listening starts a server, and is the first group of what matches when it says that
// it listens.
func listening(t *testing.T, cmd *exec.Cmd, says *regexp.Regexp) (address string) {
	t.Helper()
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	var all string
	for scanner := bufio.NewScanner(said); scanner.Scan(); {
		if at := says.FindStringSubmatch(scanner.Text()); at != nil {
			go func() { _, _ = io.Copy(io.Discard, said) }() // so that it isn't held up
			return at[1]
		}
		all += scanner.Text() + "\n"
	}
	t.Fatalf("%s doesn't start:\n%s", cmd, all)
	return ""
}

// program is the path of a server, which make test-real installs.
func program(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Fatalf("%s isn't the path of a server: run make test-real", variable)
	}
	return path
}

// throughClouds is the environment in which the hosts of a cloud are servers of this
// machine, each at an address: there is a proxy on the way, which has a certificate
// for all of them. Nothing else is reached by it.
func throughClouds(t *testing.T, hosts map[string]string) []string {
	t.Helper()
	names := []string{}
	for name := range hosts {
		names = append(names, name)
	}
	certificate, key := aCertificate(t, names...)
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.Host)
		address, is := hosts[host]
		if r.Method != http.MethodConnect || !is {
			http.Error(w, host+" is none of the cloud's hosts", http.StatusBadGateway)
			return
		}
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		passTo(tls.Server(from, &tls.Config{Certificates: []tls.Certificate{pair}}), "tcp", address)
	}))
	t.Cleanup(proxy.Close)
	return []string{"HTTPS_PROXY=" + proxy.URL, resticexport.EnvCACert + "=" + certificate}
}

// passTo has a connection answered by who listens at an address.
func passTo(from net.Conn, network, address string) {
	to, err := net.Dial(network, address)
	if err != nil {
		_ = from.Close()
		return
	}
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		go func() {
			_, _ = io.Copy(way[1], way[0])
			_ = way[1].Close()
		}()
	}
}

// livesIn has a repository made, exported to, restored from and tidied up, where
// there was none.
func (b *testbed) livesIn() {
	b.t.Helper()
	b.fails(resticexport.Task{Open: &resticexport.Open{}}, resticexport.CauseNoRepository)
	snapshot := b.moves()
	if seen := b.done(resticexport.Task{Open: &resticexport.Open{Measure: true}}).Repository; seen.Snapshots != 1 || seen.Bytes == 0 {
		b.t.Errorf("%+v", seen)
	}
	b.done(resticexport.Task{Find: &resticexport.Find{SnapshotID: snapshot.SnapshotID}})
	b.done(resticexport.Task{Check: &resticexport.Check{Part: 1, Of: 1}})
	b.done(resticexport.Task{Forget: &resticexport.Forget{IDs: []string{snapshot.SnapshotID}}})
	b.done(resticexport.Task{Prune: &resticexport.Prune{}})
	if seen := b.done(resticexport.Task{Open: &resticexport.Open{Measure: true}}).Repository; seen.Snapshots != 0 || seen.Bytes != 0 {
		b.t.Errorf("%+v after all was forgotten", seen)
	}
	if packs := b.restic("list", "packs", "--quiet"); packs != "" {
		b.t.Errorf("of what was pruned there are %q", packs)
	}
}
