package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// journal is a file with a line for each round that has been run. A run that is begun
// anew with it goes on where the one before it has ended. Of an empty path there is
// none.
type journal struct{ path string }

// read are its rounds.
func (j journal) read() (all []result, err error) {
	if j.path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for line := range bytes.Lines(text) {
		var r result
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("%s isn't a journal of rounds: remove it, or name another: %w", j.path, err)
		}
		all = append(all, r)
	}
	return all, err
}

// write adds a round.
func (j journal) write(r result) error {
	if j.path == "" {
		return nil
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(j.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Close())
}
