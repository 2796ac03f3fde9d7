//go:build real

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// aSecond is a testbed whose repository isn't made yet, and has another password,
// for movers that copy from the first one.
func aSecond(t *testing.T, first *testbed) *testbed {
	t.Helper()
	b := aTestbed(t)
	b.write(b.password, "another\n")
	b.from(first)
	return b
}

// from has the movers copy from another testbed's repository.
func (b *testbed) from(first *testbed) {
	b.at("local:"+b.repository, resticexport.EnvFromRepository+"=local:"+first.repository, resticexport.EnvFromPasswordFile+"="+first.password)
}

func (b *testbed) polynomial() string {
	b.t.Helper()
	var config struct {
		Polynomial string `json:"chunker_polynomial"`
	}
	if err := json.Unmarshal([]byte(b.restic("--quiet", "cat", "config", "--no-lock")), &config); err != nil || config.Polynomial == "" {
		b.t.Fatalf("%v %+v", err, config)
	}
	return config.Polynomial
}

// bytes is what the packs of the repository take.
func (b *testbed) bytes() (all int64) {
	b.t.Helper()
	err := filepath.WalkDir(filepath.Join(b.repository, "data"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			all += info.Size()
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

// noise is data that can't be compressed.
func noise(seed uint64, size int) string {
	text := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(text)
	return string(text)
}

var copying = resticexport.Task{CopySnapshots: &resticexport.CopySnapshots{}}

func TestTheMoverCopiesWhatWasExported(t *testing.T) {
	t.Parallel()
	first := aRepository(t)
	second := aSecond(t, first)
	if seen := second.done(resticexport.Task{Init: &resticexport.Init{LikeSource: true}}).Repository; !seen.IsNew || second.polynomial() != first.polynomial() {
		t.Fatalf("it isn't made like the first: %+v", seen)
	}
	first.write("big", noise(1, 12<<20))
	first.backup(aBackup("data", noon))
	first.write("big", noise(1, 6<<20)+"and so on"+noise(1, 12<<20)[6<<20:])
	newest := first.backup(aBackup("data", noon.Add(time.Hour)))
	first.restic("backup", "--host="+host, "--tag=by hand", ".")

	copied := second.done(copying).Copy
	seen := first.done(resticexport.Task{Open: &resticexport.Open{}}).Repository
	if copied.Copied != 2 || copied.Snapshots != 2 || copied.ExportsHash == "" || copied.ExportsHash != seen.ExportsHash {
		t.Errorf("%+v, and the first has %+v", copied, seen)
	}
	if a, b := first.bytes(), second.bytes(); b > a+a/20 {
		t.Errorf("the second takes %d bytes, the first %d: they share nothing", b, a)
	}
	if again := second.done(copying).Copy; again.Copied != 0 || again.Snapshots != 2 || again.ExportsHash != copied.ExportsHash {
		t.Errorf("again: %+v", again)
	}

	found := second.done(resticexport.Task{Find: &resticexport.Find{Host: host, Claims: []string{"data"}}}).Snapshots
	if len(found) != 1 || found[0].BackupUID != "1" || found[0].SnapshotID == newest.SnapshotID || !found[0].Time.Equal(noon.Add(time.Hour)) {
		t.Fatalf("%+v", found)
	}
	second.onto()
	second.done(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: found[0].SnapshotID}})
	if want, got := tree(t, first.mover.data)["/big"], tree(t, second.mover.data)["/big"]; want != got {
		t.Error("what is restored from the copy is something else")
	}

	// What is exported into the second divides alike: it adds next to nothing.
	before := second.bytes()
	second.backup(aBackup("data", noon.Add(2*time.Hour)))
	if after := second.bytes(); after > before+before/20 {
		t.Errorf("an export of the same data adds %d bytes to %d", after-before, before)
	}
}

func TestTheMoverCopiesOnlyOnwards(t *testing.T) {
	t.Parallel()
	first := aRepository(t)
	second := aSecond(t, first)
	second.done(resticexport.Task{Init: &resticexport.Init{LikeSource: true}})
	first.write("a", "a")
	first.exportedAt(noon, "nightly", "data", "1")
	first.exportedAt(noon.Add(time.Hour), "nightly", "data", "2")
	second.done(copying)
	if seen := second.done(resticexport.Task{Open: &resticexport.Open{}}).Repository; seen.Snapshots != 2 || seen.ExportsHash != "" {
		t.Errorf("a copy counts as an export: %+v", seen)
	}

	// Retention of the second neither counts nor forgets what was copied.
	second.write("a", "a")
	second.exportedAt(noon.Add(2*time.Hour), "nightly", "data", "3")
	second.exportedAt(noon.Add(3*time.Hour), "nightly", "data", "4")
	last := resticexport.Task{Retain: &resticexport.Retain{Histories: []resticexport.History{{Host: host, Policy: "nightly", Rules: v1alpha1.RetentionRules{KeepLast: 1}}}}}
	if forgotten := second.done(last).Forget; forgotten.Forgotten != 1 || forgotten.Kept != 1 {
		t.Errorf("%+v", forgotten)
	}
	if got := fmt.Sprint(second.remaining()); got != "[1 data 2 data 4 data]" {
		t.Errorf("the second has %s", got)
	}

	// A ring comes to an end, also where the first has forgotten.
	first.done(last)
	first.from(second)
	for range 2 {
		first.done(copying)
		second.done(copying)
	}
	if a, b := fmt.Sprint(first.remaining()), fmt.Sprint(second.remaining()); a != "[2 data 4 data]" || b != "[1 data 2 data 4 data]" {
		t.Errorf("the first has %s, the second %s", a, b)
	}
}

func TestTheMoverTellsWhichRepositoryCannotBeCopied(t *testing.T) {
	t.Parallel()
	first := aRepository(t)
	second := aSecond(t, first)
	second.fails(copying, resticexport.CauseNoRepository)
	first.write("a", "a")
	first.backup(aBackup("data", noon))
	password := first.password
	first.password = filepath.Join(t.TempDir(), "wrong")
	first.write(first.password, "wrong\n")
	second.from(first)
	like := resticexport.Task{Init: &resticexport.Init{LikeSource: true}}
	second.fails(like, resticexport.CauseWrongPassword, "the repository that is copied from")
	first.password = password
	there := first.repository
	first.repository = t.TempDir()
	second.from(first)
	if result := second.fails(like, resticexport.CauseFailed); !strings.Contains(result.Message, "the repository that is copied from") {
		t.Errorf("%q", result.Message)
	}
	first.repository = there
	second.from(first)
	second.done(like)

	// A lock of a living one stays where stale ones are removed.
	end := first.hold()
	if copied := second.done(resticexport.Task{CopySnapshots: &resticexport.CopySnapshots{Unlock: true}}).Copy; copied.Copied != 1 {
		t.Errorf("beside an export: %+v", copied)
	}
	if n := first.locks(); n != 1 {
		t.Errorf("of the export %d locks are left", n)
	}
	end()
}

// opensBoth has restic reach two repositories as the pod of a copy does, by the keys
// of a Secret each and the certificate of the one that is copied from.
func (b *testbed) opensBoth(into, from v1alpha1.RepositoryBackend, secrets map[string]map[string]string, password, certificate string) {
	b.t.Helper()
	spec := func(backend v1alpha1.RepositoryBackend, secret string) *v1alpha1.ResticRepositorySpec {
		return &v1alpha1.ResticRepositorySpec{Backend: backend, CredentialsSecretRef: &v1alpha1.SecretReference{Name: secret}}
	}
	source := spec(from, "from")
	source.CASecretRef = &v1alpha1.SecretKeyReference{Name: "ca", Key: "ca.crt"}
	access := resticexport.AccessToBoth(spec(into, "into"), source)
	more := []string{resticexport.EnvFromPasswordFile + "=" + password}
	for _, e := range access.Env {
		switch {
		case e.ValueFrom != nil:
			if value, is := secrets[e.ValueFrom.SecretKeyRef.Name][e.Name]; is {
				more = append(more, e.Name+"="+value)
			}
		case e.Name == resticexport.EnvCACert:
			more = append(more, e.Name+"="+strings.Replace(e.Value, "/lull/from-ca/ca.crt", certificate, 1))
		case e.Name == resticexport.EnvFromRepository:
			more = append(more, e.Name+"="+e.Value)
		}
	}
	b.at(access.URL, more...)
	b.mover.restic.options = access.Options
}

// A server with a certificate of its own, and a bucket in a region, each by its keys.
func TestTheMoverCopiesFromOneServerToAnother(t *testing.T) {
	t.Parallel()
	first := aTestbed(t)
	certificate, key := aCertificate(t)
	address := aServer(t, "open", "--tls", "--tls-cert="+certificate, "--tls-key="+key)
	first.at("rest:https://"+address+"/", append(user("open"), resticexport.EnvCACert+"="+certificate)...)
	snapshot := first.moves()

	second := aTestbed(t)
	bucket := anS3Server(t, region).backend()
	second.opensBoth(v1alpha1.RepositoryBackend{S3: &bucket}, v1alpha1.RepositoryBackend{REST: &v1alpha1.RESTBackend{URL: "https://" + address}}, map[string]map[string]string{
		"into": keys(), "from": {"RESTIC_REST_USERNAME": "me", "RESTIC_REST_PASSWORD": "open"},
	}, first.password, certificate)
	second.done(resticexport.Task{Init: &resticexport.Init{LikeSource: true}})
	if copied := second.done(copying).Copy; copied.Copied != 1 {
		t.Errorf("%+v", copied)
	}
	found := second.done(resticexport.Task{Find: &resticexport.Find{Host: host, Claims: []string{"data"}}}).Snapshots
	if len(found) != 1 || found[0].SnapshotID == snapshot.SnapshotID {
		t.Errorf("%+v", found)
	}
}
