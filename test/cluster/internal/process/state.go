package process

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// A State is what a supervisor knows about its program.
type State struct {
	Supervisor Identity  `json:"supervisor"`
	Program    Identity  `json:"program"`
	Command    []string  `json:"command"`
	Version    string    `json:"version"` // of the command and its configuration
	Started    time.Time `json:"started"` // the program, the last time
	Restarts   int       `json:"restarts"`
	LastEnd    string    `json:"lastEnd,omitempty"` // how it ended the last time
}

// Running says whether the supervisor is at work.
func (s State) Running() bool { return s.Supervisor.Alive() }

// StateFile is where a component's state is.
func StateFile(folder, name string) string {
	return filepath.Join(folder, name+".json")
}

// ReadState reads a state file. One that isn't there is an empty state.
func ReadState(path string) (State, error) {
	var state State
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return state, nil
	}
	if err != nil {
		return state, err
	}
	return state, json.Unmarshal(text, &state)
}

// Write writes a state file, whole or not at all.
func (s State) Write(path string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	temporary := path + ".part"
	if err := os.WriteFile(temporary, text, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
