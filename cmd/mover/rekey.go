package main

import (
	"context"
	"errors"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// rekey has the repository opened by its password, where only the one before opens
// it yet, and takes that one away. It goes on where one before it has died: the old
// one goes only once the new one was seen to open the repository.
func (m *mover) rekey(ctx context.Context) error {
	password, before := m.restic.password(), m.restic.openedBy(m.oldPassword)
	_, err := m.config(ctx)
	if isWrongPassword(err) {
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
