package hooks

import (
	"context"
	_ "embed"
	"errors"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
)

// errNeverRan says that a command is known not to have begun: it froze nothing.
var errNeverRan = errors.New("it never ran")

// neverRan is errNeverRan where a command that ended with err, and with that
// output, provably did not begin. An exit code alone proves nothing: 127 may
// come from the last line of a script that froze with its first.
func (p *process) neverRan(ctx context.Context, command []string, err error, output *tail) error {
	refused := isRefused(err, command[0]) && output.last() == "" && p.stderr.last() == ""
	if refused || (exitedWith(126, err) || exitedWith(127, err)) && p.lacks(ctx, command) {
		return errNeverRan
	}
	return nil
}

// The words, in lower case, of API servers, kubelets and runtimes that refuse a
// command before it begins: those that say so by themselves, and those that do
// where they name its program.
var (
	refusals = []string{
		"executable file", "open executable", // runc, crun
		"container not found", "no running task found", "container_exited", "not created or running", // kubelet, containerd, CRI-O
		"is forbidden", "denied the request", // API server: authorization, admission
	}
	refusalsOf = []string{"not found", "no such file or directory", "permission denied"}
)

// isRefused is true for a command without an exit code, by those words.
func isRefused(err error, program string) bool {
	if err == nil || isExit(err) {
		return false
	}
	said := strings.ToLower(err.Error())
	says := func(word string) bool { return strings.Contains(said, word) }
	return slices.ContainsFunc(refusals, says) || says(strings.ToLower(program)) && slices.ContainsFunc(refusalsOf, says)
}

//go:embed look.sh
var look string

// exitMissing is the exit code of look where the program isn't there.
const exitMissing = 3

// lacks is true where a program that the command begins with isn't in the
// container.
func (p *process) lacks(ctx context.Context, command []string) bool {
	if p.misses(ctx, "/bin/sh", command[0]) {
		return true
	}
	program := onlyProgram(command)
	return program != "" && p.misses(ctx, command[0], program)
}

func (p *process) misses(ctx context.Context, shell, program string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	err := p.executor.Exec(ctx, p.container, []string{shell, "-c", look, program}, Streams{Out: io.Discard, Err: io.Discard})
	return exitedWith(exitMissing, err)
}

// oneCommand is a script of one command with its arguments: no quotes, nothing
// that is expanded, and nothing that is run before or after it.
var oneCommand = regexp.MustCompile(`^\s*([\w./+-]+)([ \t]+[\w./:=,@%+-]+)*\s*$`)

// onlyProgram is the program of a shell's script that is one command, empty
// where the script is more than that, or the command isn't a shell's.
func onlyProgram(command []string) string {
	shells := []string{"sh", "ash", "dash", "bash", "ksh", "mksh"}
	if len(command) != 3 || command[1] != "-c" || !slices.Contains(shells, path.Base(command[0])) {
		return ""
	}
	found := oneCommand.FindStringSubmatch(command[2])
	if found == nil {
		return ""
	}
	return found[1]
}
