package main

import (
	"context"
	"errors"
	"os"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// rekey has the repository opened by its password, where only the one before opens
// it yet, and takes that one away. It goes on where one before it has died: the old
// one goes only once the new one was seen to open the repository.
func (m *mover) rekey(ctx context.Context) error {
	password, before := m.restic.password(), m.restic.openedBy(m.oldPassword)
	_, noOld := os.Stat(m.oldPassword)
	_, err := m.config(ctx)
	switch {
	case noOld != nil && isWrongPassword(err):
		return failed(resticexport.CauseWrongPassword, "the password doesn't open it, and the Secret of the one before is gone, by which alone it can be given another: create that again")
	case noOld != nil && err == nil:
		return m.isOnlyKey(ctx)
	case isWrongPassword(err):
		if err := before.run(ctx, run{args: resticexport.AddKeyCommand(password)}); err != nil {
			return err
		}
		_, err = m.config(ctx)
	}
	if err != nil {
		return err
	}
	old, err := before.key(ctx)
	if isWrongPassword(err) {
		return nil // it was taken away
	}
	if err != nil {
		return err
	}
	current, err := m.restic.key(ctx)
	if err != nil || current == old { // they are the same password
		return err
	}
	return m.restic.run(ctx, run{args: resticexport.RemoveKeyCommand(old)})
}

// isOnlyKey is an error where other passwords open the repository too: which of them
// is the old one nobody knows where that isn't there any more.
func (m *mover) isOnlyKey(ctx context.Context) error {
	keys := 0
	err := m.restic.look(ctx, resticexport.KeysCommand, eachOf(func(resticexport.ResticKey) { keys++ }))
	if err == nil && keys > 1 {
		return failed(resticexport.CauseNotFound, "the Secret of the password before is gone, and %d passwords open the repository: create that Secret again, or take away those that aren't wanted (restic key list, restic key remove ID)", keys)
	}
	return err
}

func isWrongPassword(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.cause == resticexport.CauseWrongPassword
}

// password is the file that restic takes the password from.
func (r *restic) password() string {
	_, file := cut(r.env, resticexport.EnvPasswordFile)
	return file
}

// openedBy is the same restic with the password of another file.
func (r *restic) openedBy(file string) *restic {
	return r.with(resticexport.EnvPasswordFile, file)
}

// with is the same restic with another value of a variable.
func (r *restic) with(variable, value string) *restic {
	same := *r
	same.env, _ = cut(r.env, variable)
	same.env = append(same.env, variable+"="+value)
	return &same
}

// key is the ID of the key that restic opens the repository by.
func (r *restic) key(ctx context.Context) (id string, err error) {
	err = r.look(ctx, resticexport.KeysCommand, eachOf(func(k resticexport.ResticKey) {
		if k.Current {
			id = k.ID
		}
	}))
	if err == nil && id == "" {
		err = failed(resticexport.CauseFailed, "restic doesn't say which key it opened the repository by")
	}
	return id, err
}
