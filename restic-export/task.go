package resticexport

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Task is one run of the mover, which takes it as JSON in one argument. Exactly
// one of its fields is set.
type Task struct {
	Open    *Open    `json:"open,omitempty"`
	Init    *Init    `json:"init,omitempty"`
	Backup  *Backup  `json:"backup,omitempty"`
	Find    *Find    `json:"find,omitempty"`
	Restore *Restore `json:"restore,omitempty"`
	Copy    *Copy    `json:"copy,omitempty"`
	Forget  *Forget  `json:"forget,omitempty"`
	Retain  *Retain  `json:"retain,omitempty"`
	Check   *Check   `json:"check,omitempty"`
	Prune   *Prune   `json:"prune,omitempty"`
	Unlock  *Unlock  `json:"unlock,omitempty"`
	Rekey   *Rekey   `json:"rekey,omitempty"`

	CopySnapshots *CopySnapshots `json:"copySnapshots,omitempty"`
}

// Open opens the repository and looks at what is in it. It makes nothing and locks
// nothing. Result.Repository is what it saw.
type Open struct {
	// Measure counts the bytes too, which takes a look at every folder of every
	// snapshot.
	Measure bool `json:"measure,omitempty"`
}

// Init opens the repository, and makes it where restic says that there is none,
// never on another error. Result.Repository is what it saw, with IsNew. Only one
// Job of a repository may do it.
type Init struct {
	// LikeSource divides files as the repository does that is copied from (restic's
	// chunker parameters): what is copied and what is exported here then share their
	// data.
	LikeSource bool `json:"likeSource,omitempty"`
}

// Backup exports the volume at DataPath. Result.Backup is the snapshot, which was
// seen in the repository.
type Backup struct {
	// Host is whose volume it is: namespace and application, with a slash between.
	Host string `json:"host"`
	// Claim is the application's, not the clone that is mounted.
	Claim string `json:"claim"`
	// BackupUID is that of the VolumeBackup, Policy what it counts in, if any.
	BackupUID types.UID `json:"backupUID"`
	Policy    string    `json:"policy,omitempty"`
	// Of is how many claims that backup has: by it is known whether a repository has
	// all of them.
	Of int `json:"of,omitempty"`
	// Time is when the volume was cut. restic keeps whole seconds of it.
	Time time.Time `json:"time"`
	// Parent is the ID of the claim's last snapshot in the repository, whose files
	// are not read again where they look unchanged. Where it is empty, gone, or isn't
	// of this host and claim, all snapshots are gone through for the claim's newest.
	Parent string `json:"parent,omitempty"`
	// Device: it is a device of raw blocks, at DevicePath.
	Device bool `json:"device,omitempty"`
	// UploadLimit is in bytes a second, 0 is none.
	UploadLimit int64 `json:"uploadLimit,omitempty"`
	// ReadConcurrency is how many files are read at once, 0 is restic's default.
	ReadConcurrency int32 `json:"readConcurrency,omitempty"`
	// AllowEmpty: a volume without a file is exported too. Else it is an error,
	// CauseEmpty.
	AllowEmpty bool `json:"allowEmpty,omitempty"`
}

// Find finds snapshots. Result.Snapshots are one for each claim, in their order,
// or the one of SnapshotID. CauseNotFound where one is missing.
type Find struct {
	// Host, Claims and AsOf find the newest backup that has a snapshot of every
	// claim and isn't younger than AsOf, or the newest of all. At most 16 claims.
	// Without Claims it is a backup of which there are all claims that it has.
	Host   string     `json:"host,omitempty"`
	Claims []string   `json:"claims,omitempty"`
	AsOf   *time.Time `json:"asOf,omitempty"`
	// BackupUID narrows that to one backup.
	BackupUID types.UID `json:"backupUID,omitempty"`
	// SnapshotID finds that snapshot alone, whoever made it. 8 to 64 digits.
	SnapshotID string `json:"snapshotID,omitempty"`
}

// Restore writes a snapshot onto the volume at DataPath, and reads again what it
// wrote.
type Restore struct {
	// SnapshotID in full, 64 digits.
	SnapshotID string `json:"snapshotID"`
	// Folder of the snapshot that becomes the volume's. Empty for a snapshot of
	// ours; one that was made elsewhere holds the path that it was made of.
	Folder string `json:"folder,omitempty"`
	// Paths below the volume to restore, each a file or a folder, in restic's
	// absolute form: /etc/app.conf. They mean themselves: no character is a pattern.
	// Empty: everything.
	Paths []string `json:"paths,omitempty"`
	// Delete removes what the snapshot doesn't have.
	Delete bool `json:"delete,omitempty"`
	// Into is a folder below the volume, made for the paths: it isn't there yet, or
	// is empty. It is there with all of them, or not at all. Empty: the volume's root.
	Into string `json:"into,omitempty"`
	// Device: it is a device of raw blocks, at DevicePath.
	Device bool `json:"device,omitempty"`
}

// Copy copies paths of the volume at SourcePath onto the one at DataPath, without
// restic, and compares what it wrote. What stands at such a path already is of an
// attempt before, and goes. CauseNotFound where the volume lacks one of them.
type Copy struct {
	// Paths are as those of Restore, at least one, and Into is as its.
	Paths []string `json:"paths"`
	Into  string   `json:"into,omitempty"`
}

// Forget forgets snapshots, by their IDs in full. One that is gone is no error. The
// data stays until Prune. At most 500.
type Forget struct {
	IDs []string `json:"ids"`
}

// Retain forgets what the rules don't keep. Result.Forget says through which history
// it was asked to.
type Retain struct {
	// Histories are 1 to 500, in the order of their keys.
	Histories []History `json:"histories"`
}

// History is what rules are applied to: what one policy has exported of one
// application, each backup as a whole.
type History struct {
	// Host and Policy say whose backups are counted. Those of another policy, or of
	// none where Policy is set, don't count and are never forgotten.
	Host   string `json:"host"`
	Policy string `json:"policy,omitempty"`
	// Rules that keep nothing are refused.
	Rules v1alpha1.RetentionRules `json:"rules"`
	// TimeZone is a name of the IANA database, empty is UTC.
	TimeZone string `json:"timeZone,omitempty"`
	// Held are the UIDs of backups that stay whatever the rules say.
	Held []types.UID `json:"held,omitempty"`
}

// CopySnapshots copies what exports have made in a second repository, the one that
// is copied from, and has no copy in this one. Result.Copy is what there is then.
type CopySnapshots struct {
	// UploadLimit is in bytes a second, 0 is none.
	UploadLimit int64 `json:"uploadLimit,omitempty"`
	// Unlock removes the locks first that restic calls stale, of both repositories.
	Unlock bool `json:"unlock,omitempty"`
}

// Check checks the repository. Result.Check is what it found: Done is true only
// where that is no error.
type Check struct {
	// Part of Of parts of the data is read too, 1 to Of. Of parts, one after another,
	// are all of it. Both 0: none is read.
	Part int32 `json:"part,omitempty"`
	Of   int32 `json:"of,omitempty"`
}

// Prune removes the data that no snapshot uses any more. CauseVanished, and nothing
// is removed, where the repository lists less than half of the Expected snapshots:
// those that vanished can be recovered until then.
type Prune struct {
	// Expected is how many there were at the last look, 0 where nobody knows.
	Expected int32 `json:"expected,omitempty"`
}

// Unlock removes the locks that restic calls stale, never others. Result.Locks
// are those that remain.
type Unlock struct{}

// Rekey gives the repository its password where only the one at OldPasswordFile
// opens it yet, and takes that one away. CauseWrongPassword where neither opens it,
// CauseNotFound where the old one isn't there and nobody knows which to take away.
type Rekey struct{}
