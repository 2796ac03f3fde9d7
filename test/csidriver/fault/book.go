package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Book knows which faults are asked for while running, and counts those that
// have a limit. It is a file: a restart changes nothing.
//
// What `times` counts, for each volume and key apart: of errors and of
// createDelay the calls; of everything else the snapshots, by their names, so
// that a snapshot that is asked for again meets what it met before.
type Book struct {
	file string
	save func(path string, value any) error

	mu sync.Mutex
	page
}

type page struct {
	// Set are the faults of the control socket.
	Set Params `json:"set"`
	// Hit lists who met a limited fault, by source and counter, volume and key.
	Hit map[string][]string `json:"hit"`
}

// Open reads the book, or begins one. Save replaces a file at once.
func Open(file string, save func(path string, value any) error) (*Book, error) {
	b := &Book{file: file, save: save, page: page{Set: Params{}, Hit: map[string][]string{}}}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &b.page); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return b, nil
}

// Running returns the faults of the control socket.
func (b *Book) Running() Params {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.Set)
}

// Replace sets the faults of the control socket, instead of those before, and
// counts them anew.
func (b *Book) Replace(params Params) error {
	if err := params.Check(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Set = params
	maps.DeleteFunc(b.Hit, func(key string, _ []string) bool { return strings.HasPrefix(key, "running") })
	return b.save(b.file, b.page)
}

// Subject is what a call is about.
type Subject struct {
	// VolumeID and VolumeName are of the volume that is made, staged or cut.
	VolumeID, VolumeName string
	// Name is the snapshot's or the group's, empty in calls about volumes.
	Name string
}

// Meet returns the faults that the call about the subject meets, among the keys
// that matter to it, and counts it.
func (b *Book) Meet(subject Subject, class Params, keys ...string) (Params, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	met := Params{}
	changed := false
	for _, source := range []struct {
		name   string
		params Params
	}{{"class", class}, {"running", b.Set}} {
		for _, key := range keys {
			if value, ok := source.params[key]; ok && b.due(source.name, source.params, subject, key, &changed) {
				met[key] = value
			}
		}
	}
	if !changed {
		return met, nil
	}
	return met, b.save(b.file, b.page)
}

func (b *Book) due(source string, params Params, subject Subject, key string, changed *bool) bool {
	if only := params[Volume]; only != "" && only != subject.VolumeID && only != subject.VolumeName {
		return false
	}
	limit, _ := strconv.Atoi(params[Times])
	if limit == 0 {
		return true
	}
	slot := strings.Join([]string{source + params[Counter], subject.VolumeID, key}, "/")
	byName := !slices.Contains([]string{Error, CreateError, CreateDelay, StageError}, key)
	if byName && slices.Contains(b.Hit[slot], subject.Name) {
		return true
	}
	if len(b.Hit[slot]) >= limit {
		return false
	}
	b.Hit[slot] = append(b.Hit[slot], subject.Name)
	*changed = true
	return true
}
