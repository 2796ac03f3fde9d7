//go:build real

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

var azuriteListensAt = regexp.MustCompile(`listens on http://(\S+)`)

const (
	account = "shop"
	blobs   = account + ".blob.core.windows.net"
)

var accountKey = base64.StdEncoding.EncodeToString([]byte("the key of an account"))

// anAzure is the environment in which there is Azure, with an account.
func anAzure(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", program(t, "AZURITE"),
		"--blobPort=0", "--location="+t.TempDir(), "--silent", "--disableTelemetry")
	cmd.Env = append(cmd.Environ(), "AZURITE_ACCOUNTS="+account+":"+accountKey)
	return throughClouds(t, map[string]string{blobs: listening(t, cmd, azuriteListensAt)})
}

// inAzure has restic reach a repository by the keys of a Secret. It names a tier of
// its blobs: by default it sends an empty one, which Azure takes and Azurite doesn't.
func (b *testbed) inAzure(prefix v1alpha1.RepositoryPath, secret map[string]string, environment []string) {
	b.t.Helper()
	b.reaches(v1alpha1.RepositoryBackend{Azure: &v1alpha1.ContainerBackend{Container: bucket, Prefix: prefix}}, secret, environment...)
	b.mover.restic.options = append(b.mover.restic.options, "azure.access-tier=Hot")
}

// signed is a Secret with a signature by the account's key, as its owner gives away:
// it permits what its letters say until a time.
func signed(t *testing.T, permits string, until time.Time) map[string]string {
	t.Helper()
	const (
		version   = "2022-11-02"
		protocols = "https,http" // what the proxy passes on is http
	)
	key, err := base64.StdEncoding.DecodeString(accountKey)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	ends := until.UTC().Format(time.RFC3339)
	fmt.Fprintf(mac, "%s\n%s\nb\nco\n\n%s\n\n%s\n%s\n\n", account, permits, ends, protocols, version)
	query := url.Values{
		"sp": {permits}, "ss": {"b"}, "srt": {"co"}, "se": {ends}, "spr": {protocols}, "sv": {version},
		"sig": {base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}
	return map[string]string{"AZURE_ACCOUNT_NAME": account, "AZURE_ACCOUNT_SAS": query.Encode()}
}

func TestTheMoverMovesByAzure(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	azure := anAzure(t)
	secret := map[string]string{"AZURE_ACCOUNT_NAME": account, "AZURE_ACCOUNT_KEY": accountKey}
	b.inAzure(prefix, secret, azure)
	b.refuses(resticexport.CauseNoBucket, "specified container does not exist")
	b.inAzure("another", secret, azure)
	b.restic("init") // which makes the container
	b.inAzure(prefix, secret, azure)
	b.livesIn()

	b.inAzure(prefix, secret, azure[:1])
	b.refuses(resticexport.CauseUntrusted, "x509")
	secret["AZURE_ACCOUNT_KEY"] = base64.StdEncoding.EncodeToString([]byte("another key"))
	b.inAzure(prefix, secret, azure)
	b.refuses(resticexport.CauseAccessDenied, "Server failed to authenticate")
	secret["AZURE_ACCOUNT_KEY"] = "no base64!"
	b.inAzure(prefix, secret, azure)
	b.refuses(resticexport.CauseAccessDenied, "illegal base64")
	delete(secret, "AZURE_ACCOUNT_NAME")
	b.inAzure(prefix, secret, azure)
	b.refuses(resticexport.CauseAccessDenied, "AZURE_ACCOUNT_NAME")
}

func TestTheMoverMovesByAzureWithASignature(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	azure := anAzure(t)
	tomorrow := time.Now().Add(24 * time.Hour)
	b.inAzure("another", map[string]string{"AZURE_ACCOUNT_NAME": account, "AZURE_ACCOUNT_KEY": accountKey}, azure)
	b.restic("init")
	b.inAzure(prefix, signed(t, "rwdlac", tomorrow), azure)
	b.livesIn()

	b.inAzure(prefix, signed(t, "rl", tomorrow), azure)
	b.done(resticexport.Task{Open: &resticexport.Open{}})
	b.fails(resticexport.Task{Backup: aBackup("data", noon)}, resticexport.CauseAccessDenied, "AuthorizationPermissionMismatch")
	b.inAzure(prefix, signed(t, "rwdlac", time.Now().Add(-time.Hour)), azure)
	b.refuses(resticexport.CauseAccessDenied, "Server failed to authenticate")
}
