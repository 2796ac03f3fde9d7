package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// envSSHFailure is the variable that names the file of an sshFailure.
const envSSHFailure = "LULL_SSH_FAILURE"

// sshFailure is a file in which restic's SSH client leaves why it failed. restic
// copies the client's standard error to its own, but doesn't wait for that before
// it ends, so that a key that is refused would look like a server that is away.
type sshFailure struct{ path string }

func newSSHFailure() (sshFailure, error) {
	file, err := os.CreateTemp("", "ssh-failure-")
	if err != nil {
		return sshFailure{}, err
	}
	return sshFailure{path: file.Name()}, file.Close()
}

func (f sshFailure) env() string { return envSSHFailure + "=" + f.path }

func (f sshFailure) remove() { _ = os.Remove(f.path) }

// text is why the client failed, empty where none did.
func (f sshFailure) text() string {
	file, err := os.Open(f.path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	text, _ := io.ReadAll(io.LimitReader(file, resticexport.MaxMessage)) // what was read counts
	return strings.TrimSpace(string(text))
}

// leaveSSHFailure is called by the client at its end: the file is written before
// restic can see that its client ended.
func leaveSSHFailure(err error) {
	if path := os.Getenv(envSSHFailure); path != "" {
		err = errors.Join(err, os.WriteFile(path, []byte(err.Error()), 0o600))
	}
	fmt.Fprintln(os.Stderr, err)
}
