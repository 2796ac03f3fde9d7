package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ErrNotFound says that there is no record of that id.
var ErrNotFound = errors.New("not found")

// Records keeps one JSON file for each id in a folder, beside the images.
// An id must be a plain file name.
type Records[T any] struct {
	Dir string
}

// Image returns the path of the id's image.
func (r Records[T]) Image(id string) string { return filepath.Join(r.Dir, id+".img") }

func (r Records[T]) file(id string) string { return filepath.Join(r.Dir, id+".json") }

// Get returns the record of the id, or ErrNotFound.
func (r Records[T]) Get(id string) (T, error) {
	var record T
	text, err := os.ReadFile(r.file(id))
	if errors.Is(err, os.ErrNotExist) {
		return record, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	if err != nil {
		return record, err
	}
	return record, json.Unmarshal(text, &record)
}

// Put writes the record of the id.
func (r Records[T]) Put(id string, record T) error {
	return WriteJSON(r.file(id), record)
}

// Delete removes the record first: an image without one is nobody's, and is
// swept at the next start if we don't get to it.
func (r Records[T]) Delete(id string) error {
	for _, path := range []string{r.file(id), r.Image(id)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// List returns all records, in the order of their ids.
func (r Records[T]) List() ([]T, error) {
	files, err := filepath.Glob(filepath.Join(r.Dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var records []T
	for _, file := range files {
		record, err := r.Get(strings.TrimSuffix(filepath.Base(file), ".json"))
		if errors.Is(err, ErrNotFound) {
			continue // deleted since
		}
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

// WriteJSON replaces the file at once: a reader, and whoever comes after a
// kill, sees the old text or the new one.
func WriteJSON(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	unfinished, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = unfinished.Write(text)
	if err := errors.Join(err, unfinished.Close()); err != nil {
		return errors.Join(err, os.Remove(unfinished.Name()))
	}
	return os.Rename(unfinished.Name(), path)
}
