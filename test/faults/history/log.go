package history

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// History is what is judged.
type History struct {
	Events []*Event
	Notes  []Note
	// lines are the events as they stood in the log, to be kept.
	lines [][]byte
}

// FromLog reads what matters from an API server's audit log and those that it was
// before, since a moment. It is an error where the log doesn't reach back to it.
func FromLog(path string, since time.Time) (*History, error) {
	h, reaches := &History{}, false
	err := EachLine(path, func(line []byte) error {
		e := &Event{}
		if err := json.Unmarshal(line, e); err != nil {
			return err
		}
		if e.At.Before(since) {
			reaches = true
		} else if e.matters() {
			h.Events = append(h.Events, e)
			h.lines = append(h.lines, bytes.Clone(line))
		}
		return nil
	})
	if err == nil && !reaches {
		err = fmt.Errorf("%s begins after %s: what came before has been rotated away", path, since.UTC().Format(time.RFC3339))
	}
	return h, err
}

// FromFile reads a history that was kept.
func FromFile(path string) (*History, error) {
	h := &History{}
	return h, eachLineOf(path, func(line []byte) error {
		var note Note
		if err := json.Unmarshal(line, &note); err != nil {
			return err
		}
		if note.Kind == kindNote {
			h.Notes = append(h.Notes, note)
			return nil
		}
		e := &Event{}
		h.Events = append(h.Events, e)
		return json.Unmarshal(line, e)
	})
}

// Keep writes the history, compressed, for FromFile: first the notes, then the
// events as they stood in the log.
func (h *History) Keep(path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	to := gzip.NewWriter(file)
	defer func() { err = errors.Join(err, to.Close()) }()
	lines := json.NewEncoder(to)
	for _, n := range h.Notes {
		n.Kind = kindNote
		if err := lines.Encode(n); err != nil {
			return err
		}
	}
	_, err = to.Write(bytes.Join(h.lines, nil))
	return err
}

// EachLine reads the lines of a log and of those that it was before, the oldest
// file first. A last line that is half written is left out.
func EachLine(path string, do func(line []byte) error) error {
	for _, file := range rotated(path) {
		err := eachLineOf(file, do)
		if errors.Is(err, fs.ErrNotExist) && file != path {
			err = eachLineOf(file+packed, do) // it was compressed meanwhile
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// packed ends the name of a compressed file.
const packed = ".gz"

// rotated are the log and those that it was before, whose names have the time at
// which each was full. One that is being compressed is there twice.
func rotated(path string) []string {
	ext := filepath.Ext(path)
	stem := strings.TrimSuffix(path, ext)
	older, _ := filepath.Glob(stem + "-*" + ext + "*") // a pattern of ours is never malformed
	older = slices.DeleteFunc(older, func(file string) bool {
		return !strings.HasSuffix(strings.TrimSuffix(file, packed), ext) ||
			strings.HasSuffix(file, packed) && slices.Contains(older, strings.TrimSuffix(file, packed))
	})
	slices.SortFunc(older, func(a, b string) int {
		return cmp.Compare(strings.TrimSuffix(a, packed), strings.TrimSuffix(b, packed))
	})
	return append(older, path)
}

func eachLineOf(path string, do func(line []byte) error) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var from io.Reader = file
	if strings.HasSuffix(path, packed) {
		if from, err = gzip.NewReader(file); err != nil {
			return err
		}
	}
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := do(line); err != nil {
			return err
		}
	}
}
