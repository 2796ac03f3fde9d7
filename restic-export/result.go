package resticexport

import "time"

// Result is what a mover leaves as its container's termination message: JSON of
// at most 4096 bytes.
type Result struct {
	// Done is true where the task was done and verified.
	Done bool `json:"done"`
	// Cause says why it wasn't, empty where it was.
	Cause Cause `json:"cause,omitempty"`
	// Message is restic's own words where it wasn't done, at most 1024 bytes.
	Message string `json:"message,omitempty"`
	// ExitCode is restic's, -1 where it didn't run or was killed.
	ExitCode int `json:"exitCode,omitempty"`
	// Seconds is how long the task took.
	Seconds float64 `json:"seconds,omitempty"`

	// Repository is what Open and Init saw.
	Repository *OpenedRepository `json:"repository,omitempty"`
	// Backup is the snapshot that Backup made.
	Backup *ExportedSnapshot `json:"backup,omitempty"`
	// Snapshots are what Find found.
	Snapshots []FoundSnapshot `json:"snapshots,omitempty"`
	// Restore is what Restore wrote.
	Restore *RestoredFiles `json:"restore,omitempty"`
	// Forget is what Forget and Retain forgot.
	Forget *ForgottenSnapshots `json:"forget,omitempty"`
	// Copy is what CopySnapshots has come to.
	Copy *CopiedSnapshots `json:"copy,omitempty"`
	// Leftover is the ID of a snapshot of a part of the volume, which a backup that
	// failed left in the repository and could not forget. Forget it.
	Leftover string `json:"leftover,omitempty"`
	// Check is what Check found.
	Check *CheckedRepository `json:"check,omitempty"`
	// Locks are those that Unlock left, at most 16 of them.
	Locks []Lock `json:"locks,omitempty"`
}

// OpenedRepository is what there was to see of a repository.
type OpenedRepository struct {
	// ID is what restic calls it, 64 digits. IsNew: it was made by this run.
	ID    string `json:"id"`
	IsNew bool   `json:"isNew,omitempty"`
	// Snapshots is how many it lists, those of others too, and Newest when the
	// youngest of them was taken.
	Snapshots int        `json:"snapshots"`
	Newest    *time.Time `json:"newest,omitempty"`
	// Bytes is what their data takes in the repository, where Open measures it.
	Bytes int64 `json:"bytes,omitempty"`
	// Hosts and Paths of the snapshots, sorted, each once, the first few of them.
	// HostCount and PathCount are how many there are.
	Hosts     []string `json:"hosts,omitempty"`
	HostCount int      `json:"hostCount,omitempty"`
	Paths     []string `json:"paths,omitempty"`
	PathCount int      `json:"pathCount,omitempty"`
	// ExportsHash is that of its own exports, see ExportsHash.
	ExportsHash string `json:"exportsHash,omitempty"`
	// Keys is how many passwords open it. More than one after Init was raced for.
	Keys int `json:"keys,omitempty"`
}

// ExportedSnapshot is a snapshot that was made.
type ExportedSnapshot struct {
	// SnapshotID in full, 64 digits.
	SnapshotID string `json:"snapshotID"`
	// Files, compared with the parent.
	FilesNew        int64 `json:"filesNew"`
	FilesChanged    int64 `json:"filesChanged"`
	FilesUnmodified int64 `json:"filesUnmodified"`
	// BytesProcessed is what they take, BytesUploaded what was added to the
	// repository.
	BytesProcessed int64 `json:"bytesProcessed"`
	BytesUploaded  int64 `json:"bytesUploaded"`
	// IsEmpty: there was no file.
	IsEmpty bool `json:"isEmpty,omitempty"`
}

// FoundSnapshot is a snapshot in the repository.
type FoundSnapshot struct {
	SnapshotID string    `json:"snapshotID"`
	Time       time.Time `json:"time"`
	// Tags are empty where it isn't ours. Claim and Policy are left out where the
	// result has no room for them: the order is that of the claims.
	Tags
	// Host and Paths are told where one snapshot was asked for by its ID.
	Host  string   `json:"host,omitempty"`
	Paths []string `json:"paths,omitempty"`
	// IsFile: the one path that it is of is no folder, as where a dump was written into
	// restic's standard input.
	IsFile bool `json:"isFile,omitempty"`
	// Bytes is what its files take when they are restored, 0 where restic didn't
	// note it.
	Bytes int64 `json:"bytes,omitempty"`
	// Device: it is of a device of raw blocks.
	Device bool `json:"device,omitempty"`
}

// RestoredFiles is what a restore wrote.
type RestoredFiles struct {
	Files   int64 `json:"files"`
	Bytes   int64 `json:"bytes"`
	Skipped int64 `json:"skipped,omitempty"`
	Deleted int64 `json:"deleted,omitempty"`
}

// ForgottenSnapshots is how many snapshots were forgotten, and how many of those
// that were considered are kept.
type ForgottenSnapshots struct {
	Forgotten int `json:"forgotten"`
	Kept      int `json:"kept"`
	// Histories is how many Retain was to deal with, and Through the key of the last of
	// them.
	Histories int    `json:"histories,omitempty"`
	Through   string `json:"through,omitempty"`
}

// CopiedSnapshots is what there is of copies once all exports have one.
type CopiedSnapshots struct {
	// Copied is how many were copied now.
	Copied int `json:"copied"`
	// Snapshots is how many exports there are that have a copy, and ExportsHash is that
	// of these.
	Snapshots   int    `json:"snapshots"`
	ExportsHash string `json:"exportsHash,omitempty"`
}

// CheckedRepository is what a check found.
type CheckedRepository struct {
	Errors int64 `json:"errors"`
	// BrokenPacks are the first few of the files whose content is damaged.
	BrokenPacks     []string `json:"brokenPacks,omitempty"`
	BrokenPackCount int      `json:"brokenPackCount,omitempty"`
	// What restic advises.
	SuggestRepairIndex bool `json:"suggestRepairIndex,omitempty"`
	SuggestPrune       bool `json:"suggestPrune,omitempty"`
}

// Lock is a lock in the repository.
type Lock struct {
	// Host is the name of the pod that holds it.
	Host      string    `json:"host"`
	Time      time.Time `json:"time"`
	Exclusive bool      `json:"exclusive,omitempty"`
}
