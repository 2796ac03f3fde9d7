//go:build real

package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

var gcsStarted = regexp.MustCompile(`(server started)`)

// google is where there are Google's buckets, and a service account.
type google struct {
	environment []string
	// buckets is a folder with a folder for each bucket.
	buckets string
}

// aGoogle has one bucket. Its fake-gcs-server takes any token, so whether the key is
// the account's is asked by who gives the tokens.
func aGoogle(t *testing.T, account *rsa.PublicKey) google {
	t.Helper()
	g := google{buckets: t.TempDir()}
	if err := os.Mkdir(filepath.Join(g.buckets, bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program(t, "FAKE_GCS_SERVER"),
		"-scheme=http", "-host=127.0.0.1", "-port=0", "-filesystem-root="+g.buckets)
	listening(t, cmd, gcsStarted)
	tokens := httptest.NewServer(tokensFor(account))
	t.Cleanup(tokens.Close)
	g.environment = throughClouds(t, map[string]string{
		"storage.googleapis.com": listensAt(t, cmd.Process.Pid),
		"oauth2.googleapis.com":  tokens.Listener.Addr().String(),
	})
	return g
}

// tokensFor gives a token for what the key of an account has signed (RFC 7523), and
// else says what Google does.
func tokensFor(account *rsa.PublicKey) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		assertion := r.PostFormValue("assertion")
		end := strings.LastIndex(assertion, ".")
		signature, err := base64.RawURLEncoding.DecodeString(assertion[end+1:])
		sum := sha256.Sum256([]byte(assertion[:max(end, 0)]))
		if err != nil || rsa.VerifyPKCS1v15(account, crypto.SHA256, sum[:], signature) != nil {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`)
			return
		}
		_, _ = fmt.Fprint(w, `{"access_token":"open","token_type":"Bearer","expires_in":3600}`)
	}
}

// listensAt is the one address that a process listens at, where it doesn't say
// which port it was given.
func listensAt(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	own := map[string]bool{}
	for _, file := range files {
		to, _ := os.Readlink(file)
		own[to] = true
	}
	const listening = "0A"
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if fields[3] != listening || !own["socket:["+fields[9]+"]"] {
			continue
		}
		var host, port int
		if _, err := fmt.Sscanf(fields[1], "%X:%X", &host, &port); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("127.0.0.1:%d", port)
	}
	t.Fatalf("process %d listens nowhere:\n%s", pid, text)
	return ""
}

// aServiceAccount is a Secret with what Google gives for a new key of an account.
func aServiceAccount(t *testing.T) (secret map[string]string, public *rsa.PublicKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "shop", "private_key_id": "1",
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": "lull@shop.iam.gserviceaccount.com", "client_id": "1", "token_uri": "https://oauth2.googleapis.com/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"GOOGLE_PROJECT_ID": "shop", resticexport.KeyGoogleCredentials: string(file)}, &key.PublicKey
}

func TestTheMoverMovesByGoogle(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	secret, account := aServiceAccount(t)
	g := aGoogle(t, account)
	backend := v1alpha1.RepositoryBackend{GCS: &v1alpha1.BucketBackend{Bucket: bucket, Prefix: prefix}}
	b.reaches(backend, secret, g.environment...)
	b.livesIn()

	wrong, _ := aServiceAccount(t)
	b.reaches(backend, wrong, g.environment...)
	b.refuses(resticexport.CauseAccessDenied, "Invalid JWT Signature")
	wrong[resticexport.KeyGoogleCredentials] = "no JSON"
	b.reaches(backend, wrong, g.environment...)
	b.refuses(resticexport.CauseAccessDenied, "invalid character")
	b.reaches(backend, nil, g.environment...)
	b.refuses(resticexport.CauseAccessDenied, "could not find default credentials")
}
