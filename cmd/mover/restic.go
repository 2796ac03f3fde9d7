package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// restic runs restic, one command after another.
type restic struct {
	path    string
	options []string
	env     []string
	// folder is the working folder, that of the volume.
	folder string
	// cache is the folder of its cache, empty where it chooses one. noCache: it has none.
	cache   string
	noCache bool
	// goodbye is how long it may take to end when it is asked to.
	goodbye time.Duration
	// wait is how long it waits for another's lock.
	wait time.Duration
	// patience is how long a look goes on after its first error. One that says
	// nothing, which may have a long list to read, has five times as long.
	patience time.Duration
	// say takes each message of its standard output.
	say func(resticexport.Message)
}

// run is one command of restic.
type run struct {
	args   []string
	stdin  io.Reader
	stdout io.Writer
	// isLook: it only looks, so it is ended where the repository doesn't answer, or
	// answers what no waiting mends. restic itself tries for a quarter of an hour.
	isLook bool
	// wait is how long it waits for another's lock, where that isn't restic.wait.
	wait time.Duration
}

// soonUnlocked is how long a lock is waited for until it is asked whether whoever has
// left it is gone.
const soonUnlocked = time.Minute

// run runs a command to its end. The error is a failure. Where a lock is in the way,
// those that restic calls stale are removed, and it is run again.
func (r *restic) run(ctx context.Context, what run) error {
	wait := cmp.Or(what.wait, r.wait)
	what.wait = min(wait, soonUnlocked)
	err := r.once(ctx, what)
	var f *failure
	if what.isLook || !errors.As(err, &f) || f.cause != resticexport.CauseLocked {
		return err
	}
	if r.once(ctx, run{args: (&resticexport.Unlock{}).Command(), isLook: true}) != nil {
		return err
	}
	what.wait = wait
	return r.once(ctx, what)
}

func (r *restic) once(ctx context.Context, what run) error {
	bounded, end := context.WithCancelCause(ctx)
	defer end(nil)
	var words words
	stderr := &lines{each: words.hear}
	if what.isLook {
		timer := time.AfterFunc(5*r.patience, func() { end(errNoAnswer) })
		defer timer.Stop()
		stderr.each = func(line []byte) {
			if isUnanswered(bounded) {
				return // what it says is that it was ended
			}
			if words.isSilent() {
				timer.Reset(r.patience)
			}
			words.hear(line)
			if words.isHopeless() {
				end(errNoAnswer)
			}
		}
	}
	stderr.each = r.endingAtFullCache(stderr.each, end)
	cmd := r.command(bounded, what.wait, what.args)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = what.stdin, what.stdout, stderr
	client, err := newSSHFailure()
	if err != nil {
		return failed(resticexport.CauseFailed, "%v", err)
	}
	defer client.remove()
	cmd.Env = append(cmd.Env, client.env())
	err = cmd.Run()
	stderr.flush()
	if said := client.text(); said != "" {
		words.hearOnce(said)
	}
	code := cmd.ProcessState.ExitCode()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &failure{cause: resticexport.CauseInterrupted, message: "the mover was told to end, and ended restic", exitCode: code}
	case cmd.ProcessState == nil:
		return failed(resticexport.CauseFailed, "restic can't be run: %v", err)
	case isUnanswered(bounded) && !resticexport.IsVerdict(code):
		return words.noAnswer(r.patience)
	}
	return words.failure(code, err)
}

var errNoAnswer = errors.New("the repository doesn't answer")

func isUnanswered(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errNoAnswer) }

// command is ended as by ctrl-C, upon which restic removes its lock.
func (r *restic) command(ctx context.Context, wait time.Duration, args []string) *exec.Cmd {
	all := []string{"--retry-lock=" + wait.String()}
	if r.noCache {
		all = append(all, "--no-cache")
	}
	for _, option := range r.options {
		all = append(all, "--option="+option)
	}
	cmd := exec.CommandContext(ctx, r.path, append(all, args...)...)
	cmd.Dir, cmd.Env = r.folder, slices.Clone(r.env)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = r.goodbye
	return cmd
}

// talk runs a command that says messages, and is the last summary of them.
func (r *restic) talk(ctx context.Context, what run) (resticexport.Message, error) {
	var summary resticexport.Message
	stdout := &lines{each: func(line []byte) {
		m, isKnown := resticexport.ReadMessage(line)
		if !isKnown {
			return
		}
		if m.Kind == resticexport.KindSummary || m.Kind == resticexport.KindInitialized {
			summary = m
		}
		r.say(m)
	}}
	what.stdout = stdout
	err := r.run(ctx, what)
	stdout.flush()
	return summary, err
}

// look runs a command that prints one document, which read takes from the stream.
func (r *restic) look(ctx context.Context, args []string, read func(*json.Decoder) error) error {
	return r.document(ctx, run{args: args, isLook: true}, read)
}

func (r *restic) document(ctx context.Context, what run, read func(*json.Decoder) error) error {
	from, to := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := read(json.NewDecoder(from))
		_, _ = io.Copy(io.Discard, from) // what follows, so that restic isn't held up
		done <- err
	}()
	what.stdout = to
	err := r.run(ctx, what)
	_ = to.Close() // it never fails
	if unread := <-done; err == nil && unread != nil {
		return failed(resticexport.CauseFailed, "restic %s printed what can't be read: %v", what.args[0], unread)
	}
	return err
}

// into reads a document as a whole.
func into[T any](value *T) func(*json.Decoder) error {
	return func(d *json.Decoder) error { return d.Decode(value) }
}

// eachOf reads a list, one after another. null is an empty list.
func eachOf[T any](take func(T)) func(*json.Decoder) error {
	return func(d *json.Decoder) error {
		token, err := d.Token()
		if err != nil || token == nil {
			return err
		}
		if token != json.Delim('[') {
			return fmt.Errorf("%v isn't the beginning of a list", token)
		}
		for d.More() {
			var one T
			if err := d.Decode(&one); err != nil {
				return err
			}
			take(one)
		}
		return nil
	}
}

// why is why a repository can't be opened, nil where it can.
func (r *restic) why(ctx context.Context) *failure {
	var config resticexport.ResticConfig
	var f *failure
	errors.As(r.look(ctx, resticexport.ConfigCommand, into(&config)), &f)
	return f
}

// withoutRegion is the same restic that isn't told the region of a bucket, and that
// region, empty where it isn't told one anyway.
func (r *restic) withoutRegion() (without *restic, region string) {
	same := *r
	same.env, region = cut(same.env, resticexport.EnvRegion)
	var given string
	same.options, given = cut(same.options, resticexport.OptionRegion)
	return &same, cmp.Or(given, region)
}

// cut is what remains of settings, each as name=value, without those of a name, and
// the value of the last of them.
func cut(settings []string, name string) (rest []string, value string) {
	for _, s := range settings {
		if v, is := strings.CutPrefix(s, name+"="); is {
			value = v
		} else {
			rest = append(rest, s)
		}
	}
	return rest, value
}

// environment is what restic is given of the mover's own environment, and what is
// the same for all of its runs.
func environment() []string {
	env := []string{"TZ=UTC", "RESTIC_PROGRESS_FPS=0.2"}
	for _, name := range resticexport.KnownVariables() {
		if value, isSet := os.LookupEnv(name); isSet {
			env = append(env, name+"="+value)
		}
	}
	if _, err := os.Stat(resticexport.GoogleFile); err == nil {
		env = append(env, resticexport.KeyGoogleCredentials+"="+resticexport.GoogleFile)
	}
	return env
}
