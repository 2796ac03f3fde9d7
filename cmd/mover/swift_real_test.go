//go:build real

package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

var swiftListensAt = regexp.MustCompile(`swift listens at (\S+)`)

// aSwift is an account of a Swift, with one user who may do all there, and a guest
// who may do nothing. Both have one password.
func aSwift(t *testing.T) (secret func(user, password string) map[string]string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "swift")
	cmd := exec.CommandContext(t.Context(), program(t, "SWIFT"), "testdata/swiftserver.py", folder, "shop:me", "open")
	address := listening(t, cmd, swiftListensAt)
	return func(user, password string) map[string]string {
		return map[string]string{"OS_AUTH_URL": "http://" + address + "/auth/v1.0", "OS_USERNAME": "shop:" + user, "OS_PASSWORD": password}
	}
}

func TestTheMoverMovesBySwift(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	secret := aSwift(t)
	backend := v1alpha1.RepositoryBackend{Swift: &v1alpha1.ContainerBackend{Container: bucket, Prefix: prefix}}
	b.reaches(backend, secret("me", "open"))
	b.livesIn()

	b.reaches(backend, secret("me", "wrong"))
	b.refuses(resticexport.CauseAccessDenied, "Authorization Failed")
	b.reaches(backend, secret("you", "open"))
	b.refuses(resticexport.CauseAccessDenied, "Authorization Failed")
	b.reaches(backend, secret("guest", "open"))
	b.refuses(resticexport.CauseAccessDenied, "Operation forbidden")
}
