package resticexport

import (
	"encoding/json"
	"slices"
	"time"
)

// What restic says, typed once: the kinds of its JSON and the fields that are
// read, and its exit codes. Other kinds and fields are skipped, so that a newer
// restic may say more.
// https://restic.readthedocs.io/en/stable/075_scripting.html

// The exit codes. Any other is a failure.
const (
	exitDone          = 0
	exitFailed        = 1
	exitGoRuntime     = 2
	exitIncomplete    = 3
	exitNoRepository  = 10
	exitLocked        = 11
	exitWrongPassword = 12
	exitInterrupted   = 130
)

// HasKeys is what restic says of a place that has keys where it is to make a
// repository.
const HasKeys = "repository already contains keys"

// MessageKind is the kind of a line.
type MessageKind string

// The kinds that are read.
const (
	KindStatus      MessageKind = "status"
	KindSummary     MessageKind = "summary"
	KindError       MessageKind = "error"
	KindExitError   MessageKind = "exit_error"
	KindInitialized MessageKind = "initialized"
	KindNode        MessageKind = "node"
)

// Message is a line of restic's. Which fields are set follows from its kind and
// from the command.
type Message struct {
	Kind MessageKind `json:"message_type"`

	// status, of backup and restore; summary of restore.
	PercentDone      float64 `json:"percent_done"`
	SecondsRemaining int64   `json:"seconds_remaining"`
	TotalFiles       int64   `json:"total_files"`
	TotalBytes       int64   `json:"total_bytes"`
	FilesDone        int64   `json:"files_done"`
	BytesDone        int64   `json:"bytes_done"`
	FilesRestored    int64   `json:"files_restored"`
	BytesRestored    int64   `json:"bytes_restored"`
	FilesSkipped     int64   `json:"files_skipped"`
	BytesSkipped     int64   `json:"bytes_skipped"`
	FilesDeleted     int64   `json:"files_deleted"`

	// summary of backup.
	SnapshotID          string `json:"snapshot_id"`
	FilesNew            int64  `json:"files_new"`
	FilesChanged        int64  `json:"files_changed"`
	FilesUnmodified     int64  `json:"files_unmodified"`
	DataAddedPacked     int64  `json:"data_added_packed"`
	TotalFilesProcessed int64  `json:"total_files_processed"`
	TotalBytesProcessed int64  `json:"total_bytes_processed"`

	// summary of check.
	NumErrors          int64    `json:"num_errors"`
	BrokenPacks        []string `json:"broken_packs"`
	SuggestRepairIndex bool     `json:"suggest_repair_index"`
	SuggestPrune       bool     `json:"suggest_prune"`

	// error of backup and restore; check and exit_error have Text alone.
	Error struct {
		Message string `json:"message"`
	} `json:"error"`
	During string `json:"during"`
	Item   string `json:"item"`

	// exit_error.
	Code int    `json:"code"`
	Text string `json:"message"`

	// initialized.
	ID string `json:"id"`

	// node, of ls.
	Path string `json:"path"`
	Type string `json:"type"`
}

// ReadMessage reads a line. It is false for a kind that isn't read, for a line
// that is no JSON, and for one that is broken.
func ReadMessage(line []byte) (Message, bool) {
	var m Message
	if err := json.Unmarshal(line, &m); err != nil {
		return Message{}, false
	}
	return m, slices.Contains([]MessageKind{KindStatus, KindSummary, KindError, KindExitError, KindInitialized, KindNode}, m.Kind)
}

// ResticSnapshot is one of restic's snapshots, in the list of them and by itself.
type ResticSnapshot struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Hostname string    `json:"hostname"`
	Paths    []string  `json:"paths"`
	Tags     []string  `json:"tags"`
	// Original is the ID of the snapshot that this one is a copy of, in another
	// repository, or that restic has rewritten to this one, as where its tags were
	// changed. A copy of a copy has that of the first.
	Original string `json:"original"`
	Summary  struct {
		BackupEnd           time.Time `json:"backup_end"`
		TotalBytesProcessed int64     `json:"total_bytes_processed"`
	} `json:"summary"`
}

// Tagged is what its tags say, false where it isn't ours.
func (s *ResticSnapshot) Tagged() (Tags, bool) { return ReadTags(s.Tags) }

// IsOwn is true of a snapshot that an export into this repository has made, and that
// is as it was made.
func (s *ResticSnapshot) IsOwn() bool {
	_, isOurs := s.Tagged()
	return isOurs && s.Original == ""
}

// IsDevice is true of a snapshot of a device of raw blocks.
func (s *ResticSnapshot) IsDevice() bool {
	_, isOurs := s.Tagged()
	return isOurs && slices.Equal(s.Paths, []string{DeviceFile})
}

// ResticConfig is the config of a repository.
type ResticConfig struct {
	ID string `json:"id"`
}

// ResticStats is what stats counts.
type ResticStats struct {
	TotalSize int64 `json:"total_size"`
}

// ResticKey is a password that opens a repository.
type ResticKey struct {
	ID string `json:"id"`
	// Current: it is the one that the repository was opened by.
	Current bool `json:"current"`
}

// ResticLock is a lock.
type ResticLock struct {
	Time      time.Time `json:"time"`
	Exclusive bool      `json:"exclusive"`
	Hostname  string    `json:"hostname"`
}
