package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// goodbye is a bit less than the pod has: what restic leaves undone by then is
// told.
const goodbye = 80 * time.Second

func main() {
	if len(os.Args) > 1 && os.Args[1] == resticexport.SSHCommand {
		if err := ssh(os.Args[2:], os.Stdin, os.Stdout); err != nil {
			leaveSSHFailure(err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := move(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// waitForLock is how long another's lock is waited for. That of a pod that was
// killed is stale after half an hour, which nobody waits for here.
const waitForLock = 10 * time.Minute

// patience bounds looks at a repository that doesn't answer. restic itself goes on
// for a quarter of an hour after an error.
const patience = 3 * time.Minute

// move does the task and leaves the result. It is the code to exit with: 0 where
// it is done.
func move(ctx context.Context, args []string) int {
	m, log, argument, err := fromFlags(args)
	result := resticexport.Result{}
	if err != nil {
		tell(&result, err)
	} else {
		result = m.parseAndDo(ctx, argument)
	}
	text := result.Encode()
	if err := os.WriteFile(log, text, 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "the result can't be left to the controller:", err)
		return 1
	}
	fmt.Println(string(text))
	if !result.Done {
		return 1
	}
	return 0
}

func (m *mover) parseAndDo(ctx context.Context, argument string) resticexport.Result {
	task, err := resticexport.ParseTask(argument)
	if err != nil {
		var result resticexport.Result
		tell(&result, failed(resticexport.CauseInvalid, "%v", err))
		return result
	}
	return m.do(ctx, task)
}

func fromFlags(args []string) (m *mover, log, argument string, err error) {
	flags := flag.NewFlagSet("mover", flag.ContinueOnError)
	restic := &restic{goodbye: goodbye, wait: waitForLock, patience: patience, env: environment(), cache: os.Getenv(resticexport.EnvCacheDir), say: printProgress}
	m = &mover{restic: restic, now: time.Now, repository: os.Getenv(resticexport.EnvRepository)}
	flags.Func("option", "an extended `option` of restic, as key=value; as often as there are some", func(option string) error {
		restic.options = append(restic.options, option)
		return nil
	})
	flags.StringVar(&restic.path, "restic", resticexport.ResticPath, "the `path` of restic")
	flags.StringVar(&m.data, "data", resticexport.DataPath, "the `path` of the volume")
	flags.StringVar(&m.device, "device", resticexport.DevicePath, "the `path` of the volume, if it is one of raw blocks")
	flags.StringVar(&m.from, "from", resticexport.SourcePath, "the `path` of the volume that is copied from")
	flags.StringVar(&m.oldPassword, "old-password", resticexport.OldPasswordFile, "the `path` of the password that the repository had, where it is exchanged")
	flags.StringVar(&log, "termination-log", "/dev/termination-log", "the `path` that the result is written to")
	if err := flags.Parse(args); err != nil {
		return nil, log, "", failed(resticexport.CauseInvalid, "%v", err)
	}
	if flags.NArg() != 1 {
		return nil, log, "", failed(resticexport.CauseInvalid, "the mover takes one task, not %d", flags.NArg())
	}
	// A pod that writes no files has no such folder.
	if _, err := os.Stat(m.data); err == nil {
		restic.folder = m.data
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, log, "", failed(resticexport.CauseSourceUnreadable, "the volume can't be reached: %v", err)
	}
	restic.path, err = filepath.Abs(restic.path)
	return m, log, flags.Arg(0), err
}

func printProgress(said resticexport.Message) {
	if said.Kind == resticexport.KindStatus {
		fmt.Println(resticexport.ProgressOf(said).Line())
	}
}
