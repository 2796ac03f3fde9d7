//go:build real

package main

import (
	"bytes"
	"context"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

const (
	bucket = "backups"
	prefix = "prod/shop"
	region = "eu-central-1"
	// nowhere is the region that one is in which isn't told of any.
	nowhere = "us-east-1"
)

// keys are a Secret that opens the server.
func keys() map[string]string {
	return map[string]string{"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "open"}
}

// s3Server is a versitygw in a region, with one bucket. It listens at a socket: it
// doesn't say which port it has chosen, and one that was chosen for it may be
// another's by then. Whoever connects to the address is passed on.
type s3Server struct {
	t       *testing.T
	region  string
	folder  string
	socket  string
	address string
	flags   []string
	stop    func()
}

func anS3Server(t *testing.T, region string, flags ...string) *s3Server {
	t.Helper()
	s := &s3Server{t: t, region: region, folder: t.TempDir(), socket: filepath.Join(t.TempDir(), "socket"), address: "127.0.0.1:0", flags: flags}
	if err := os.Mkdir(filepath.Join(s.folder, bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	s.start()
	return s
}

// start has it answer at its address, which the first start finds.
func (s *s3Server) start() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	cmd := exec.CommandContext(ctx, program(s.t, "VERSITYGW"), slices.Concat([]string{"--port=" + s.socket, "--region=" + s.region, "--quiet"}, s.flags, []string{"posix", s.folder})...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Env = []string{"ROOT_ACCESS_KEY_ID=" + keys()["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_ACCESS_KEY=" + keys()["AWS_SECRET_ACCESS_KEY"]}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	for !s.isUp() {
		select {
		case <-ended:
			s.t.Fatalf("versitygw doesn't start: %s", &said)
		case <-time.After(20 * time.Millisecond):
		}
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = listener.Addr().String()
	go s.passOn(listener)
	s.stop = func() {
		_ = listener.Close()
		cancel()
		<-ended
		_ = os.Remove(s.socket)
	}
	s.t.Cleanup(s.stop)
}

func (s *s3Server) isUp() bool {
	connection, err := net.Dial("unix", s.socket)
	if err == nil {
		_ = connection.Close()
	}
	return err == nil
}

func (s *s3Server) passOn(listener net.Listener) {
	for {
		from, err := listener.Accept()
		if err != nil {
			return
		}
		passTo(from, "unix", s.socket)
	}
}

// backend is what a ResticRepository has to say to reach it.
func (s *s3Server) backend() v1alpha1.S3Backend {
	return v1alpha1.S3Backend{Endpoint: "http://" + s.address, Bucket: bucket, Prefix: prefix, Region: s.region}
}

// opens has restic reach what a ResticRepository names, by the keys of a Secret.
func (b *testbed) opens(backend v1alpha1.S3Backend, secret map[string]string, more ...string) {
	b.t.Helper()
	b.reaches(v1alpha1.RepositoryBackend{S3: &backend}, secret, more...)
}

// withARepository puts one that is made into the bucket.
func (s *s3Server) withARepository() *s3Server {
	s.t.Helper()
	made, err := aMadeRepository()
	if err == nil {
		err = os.CopyFS(filepath.Join(s.folder, bucket, prefix), os.DirFS(made))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return s
}

func TestTheMoverMovesByS3(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	server := anS3Server(t, region)
	b.opens(server.backend(), keys())
	b.fails(resticexport.Task{Open: &resticexport.Open{}}, resticexport.CauseNoRepository, "specified key does not exist")
	b.write("folder/large", strings.Repeat("0123456789abcdef", 1<<20))
	b.write("folder/theirs", "theirs")
	if os.Getuid() == 0 {
		if err := os.Chown(filepath.Join(b.mover.data, "folder", "theirs"), 999, 998); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(b.mover.data, "folder", "theirs"), 0o640); err != nil {
		t.Fatal(err)
	}
	source := b.mover.data
	snapshot := b.moves()
	if _, err := os.Stat(filepath.Join(server.folder, bucket, prefix, "config")); err != nil {
		t.Error(err)
	}

	target := b.onto()
	b.restic("restore", snapshot.SnapshotID, "--target="+target)
	compare(t, tree(t, source), tree(t, target))

	b.done(resticexport.Task{Check: &resticexport.Check{Part: 1, Of: 1}})
	b.done(resticexport.Task{Forget: &resticexport.Forget{IDs: []string{snapshot.SnapshotID}}})
	b.done(resticexport.Task{Prune: &resticexport.Prune{}})
	if packs, _ := filepath.Glob(filepath.Join(server.folder, bucket, prefix, "data", "*", "*")); len(packs) != 0 {
		t.Errorf("of what was pruned there are %q", packs)
	}

	anywhere := server.backend()
	anywhere.Region = ""
	b.opens(anywhere, keys())
	if seen := b.done(resticexport.Task{Open: &resticexport.Open{}}).Repository; seen.Snapshots != 0 {
		t.Errorf("%+v", seen)
	}
}

// restic makes a bucket that isn't there, wherever a server lets it.
func TestTheMoverMakesNoBucket(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	server := anS3Server(t, region)
	backend := server.backend()
	backend.Bucket = "another"
	b.opens(backend, keys())
	b.refuses(resticexport.CauseNoBucket, "bucket does not exist")
	backend.Region = ""
	b.opens(backend, keys())
	b.refuses(resticexport.CauseNoBucket, "bucket does not exist")
	b.opens(backend, keys(), resticexport.EnvRegion+"="+region)
	b.refuses(resticexport.CauseNoBucket, "bucket does not exist")
	backend.Bucket = "b"
	b.opens(backend, keys())
	b.refuses(resticexport.CauseNoBucket, "cannot be shorter")
	if entries, err := os.ReadDir(server.folder); err != nil || len(entries) != 1 {
		t.Errorf("there are more buckets: %v %v", entries, err)
	}
}

// refuses is what a server does at once: nobody waits for as long as restic would.
func (b *testbed) refuses(cause resticexport.Cause, says ...string) {
	b.t.Helper()
	for _, task := range []resticexport.Task{{Open: &resticexport.Open{}}, {Init: &resticexport.Init{}}} {
		if result := b.fails(task, cause, says...); result.Seconds > 20 {
			b.t.Errorf("%s took %.0f s", task, result.Seconds)
		}
	}
}

// A server that looks at the region first says less of the rest: restic doesn't know
// that region when it asks for it.
func TestTheMoverTellsWhyS3Refuses(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	wrongSecret, wrongKey := keys(), keys()
	wrongSecret["AWS_SECRET_ACCESS_KEY"], wrongKey["AWS_ACCESS_KEY_ID"] = "wrong", "you"
	for _, of := range []struct{ region, says string }{
		{nowhere, "signature we calculated does not match"},
		{region, "Access Denied"},
	} {
		server := anS3Server(t, of.region).withARepository()
		for _, given := range []string{"", of.region} {
			backend := server.backend()
			backend.Region = given
			b.opens(backend, wrongSecret)
			b.refuses(resticexport.CauseAccessDenied, of.says)
			b.opens(backend, wrongKey)
			b.fails(resticexport.Task{Init: &resticexport.Init{}}, resticexport.CauseAccessDenied, "No user exists with the provided access key")
			backend.Endpoint = server.seenLate()
			b.opens(backend, keys())
			b.refuses(resticexport.CauseAccessDenied, "difference between the request time")
		}
		elsewhere := server.backend()
		elsewhere.Region = "eu-west-9"
		b.opens(elsewhere, keys())
		b.refuses(resticexport.CauseWrongRegion, "refuses region eu-west-9")
	}
}

// seenLate is the server where whoever asks has a clock that stands at noon.
func (s *s3Server) seenLate() (endpoint string) {
	s.t.Helper()
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: s.address})
		r.Out.Host = r.In.Host
		const date = "X-Amz-Date"
		now, then := r.In.Header.Get(date), noon.Format("20060102T150405Z")
		r.Out.Header.Set(date, then)
		signed := r.In.Header.Get("Authorization")
		r.Out.Header.Set("Authorization", strings.Replace(signed, "/"+now[:8]+"/", "/"+then[:8]+"/", 1))
	}})
	s.t.Cleanup(proxy.Close)
	return proxy.URL
}

func TestTheMoverTrustsNoOtherCertificateOfS3(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	certificate, key := aCertificate(t)
	server := anS3Server(t, region, "--cert="+certificate, "--key="+key).withARepository()
	backend := server.backend()
	backend.Endpoint = "https://" + server.address
	b.opens(backend, keys())
	b.fails(resticexport.Task{Init: &resticexport.Init{}}, resticexport.CauseUntrusted, "x509")
	b.opens(backend, keys(), resticexport.EnvCACert+"="+certificate)
	b.done(resticexport.Task{Open: &resticexport.Open{}})
}

func TestTheMoverGoesOnWhereS3ComesBack(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	server := anS3Server(t, region).withARepository()
	b.mover.restic.patience = 2 * time.Second
	b.opens(server.backend(), keys())
	before := b.done(resticexport.Task{Open: &resticexport.Open{}}).Repository
	server.stop()
	b.fails(resticexport.Task{Open: &resticexport.Open{}}, resticexport.CauseUnreachable, "connection refused")
	server.start()
	if after := b.done(resticexport.Task{Init: &resticexport.Init{}}).Repository; after.ID != before.ID || after.IsNew {
		t.Errorf("%+v, before %+v", after, before)
	}
}
