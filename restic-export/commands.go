package resticexport

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// DeviceFile is what a device of raw blocks is called in its snapshot.
const DeviceFile = "/disk.img"

// The command lines. Each is what follows restic's name, without the repository,
// which is in the environment, and without what is the same for all of them. A value of others is never an argument by itself,
// so that none is taken for a flag.

// BackupSource is how a volume is seen by a backup.
type BackupSource struct {
	// Path of the volume, which is the working folder.
	Path string
	// IsEmpty: it has no file. restic refuses to take nothing, so the folder itself
	// is taken, under its path.
	IsEmpty bool
	// Excludes are paths that are left out.
	Excludes []string
	// Root is whose the folder is, as Tags have it.
	Root string
}

// Command makes a snapshot. Without a parent nothing is compared: restic would
// choose one by host and path, which all claims of an application have in common.
func (b *Backup) Command(parent string, from BackupSource) []string {
	tags := Tags{Claim: b.Claim, BackupUID: b.BackupUID, Of: b.Of, Policy: b.Policy, IsEmpty: from.IsEmpty, Root: from.Root}
	command := []string{"backup", "--json", "--host=" + b.Host, "--time=" + b.Time.UTC().Format(time.DateTime)}
	for _, tag := range tags.Strings() {
		command = append(command, "--tag="+tag)
	}
	command = append(command, limited(b.UploadLimit)...)
	if b.Device {
		return append(command, "--stdin", "--stdin-filename="+DeviceFile)
	}
	if b.ReadConcurrency > 0 {
		command = append(command, "--read-concurrency="+strconv.Itoa(int(b.ReadConcurrency)))
	}
	if parent == "" {
		command = append(command, "--force")
	} else {
		command = append(command, "--parent="+parent)
	}
	for _, p := range from.Excludes {
		command = append(command, "--exclude="+literally(p))
	}
	if from.IsEmpty {
		return append(command, "--", from.Path)
	}
	return append(command, "--", ".")
}

// limited bounds what is sent, in bytes a second. restic takes KiB, and at least one.
func limited(upload int64) []string {
	if upload <= 0 {
		return nil
	}
	return []string{"--limit-upload=" + strconv.FormatInt(max(1, upload/1024), 10)}
}

// Command restores into a folder. A folder that the file system makes for itself
// is never deleted.
func (r *Restore) Command(target string) []string {
	command := []string{"restore", "--json", "--target=" + target, "--verify", "--sparse"}
	if r.Delete {
		command = append(command, "--delete")
	}
	for _, p := range r.Paths {
		command = append(command, "--include="+literally(p))
	}
	if r.Delete && len(r.Paths) == 0 {
		command = append(command, "--exclude="+literally("/"+LostAndFound))
	}
	return append(command, "--", r.source())
}

func (r *Restore) source() string {
	if r.Folder == "" {
		return r.SnapshotID
	}
	return r.SnapshotID + ":" + r.Folder
}

// ListCommand lists the nodes at the paths that are restored.
func (r *Restore) ListCommand() []string {
	return append([]string{"ls", "--json", "--", r.source()}, r.Paths...)
}

// ListPathCommand lists the node at a path of a snapshot, and what is in it where it
// is a folder.
func ListPathCommand(id, path string) []string {
	return []string{"ls", "--json", "--no-lock", "--", id, path}
}

// DumpCommand writes the content of a device to standard output.
func (r *Restore) DumpCommand() []string {
	return []string{"dump", "--json", "--", r.SnapshotID, DeviceFile}
}

// LostAndFound is the folder at the root of some file systems that is root's
// alone: what a repair finds goes there.
const LostAndFound = "lost+found"

// Command forgets snapshots by their IDs.
func (f *Forget) Command() []string {
	return append([]string{"forget", "--json", "--"}, f.IDs...)
}

// Command copies snapshots of the second repository, which is in the environment, by
// their IDs.
func (c *CopySnapshots) Command(ids []string) []string {
	command := append([]string{"copy", "--json"}, limited(c.UploadLimit)...)
	return append(append(command, "--"), ids...)
}

// Command makes the repository.
func (i *Init) Command() []string {
	command := []string{"init", "--json"}
	if i.LikeSource {
		command = append(command, "--copy-chunker-params")
	}
	return command
}

// Command checks the repository, and reads a part of its data.
func (c *Check) Command() []string {
	command := []string{"check", "--json"}
	if c.Of > 0 {
		command = append(command, fmt.Sprintf("--read-data-subset=%d/%d", c.Part, c.Of))
	}
	return command
}

// Command prunes.
func (*Prune) Command() []string { return []string{"prune", "--json"} }

// Command removes stale locks.
func (*Unlock) Command() []string { return []string{"unlock", "--json"} }

// Looks at the repository, which wait for nobody and lock nothing.
var (
	ConfigCommand = []string{"cat", "config", "--json", "--no-lock"}
	StatsCommand  = []string{"stats", "--mode=raw-data", "--json", "--no-lock"}
	KeysCommand   = []string{"key", "list", "--json", "--no-lock"}
	LocksCommand  = []string{"list", "locks", "--json", "--no-lock"}
)

// AddKeyCommand has another password, which is in a file, open the repository too.
func AddKeyCommand(file string) []string {
	return []string{"key", "add", "--json", "--new-password-file=" + file}
}

// RemoveKeyCommand takes a password away, but the one that the repository is opened
// by.
func RemoveKeyCommand(id string) []string { return []string{"key", "remove", "--json", "--", id} }

// LockCommand shows one lock.
func LockCommand(id string) []string { return []string{"cat", "lock", "--json", "--no-lock", "--", id} }

// SnapshotsCommand lists the snapshots of a host, of all hosts where it is empty.
func SnapshotsCommand(host string) []string {
	command := []string{"snapshots", "--json", "--no-lock"}
	if host != "" {
		command = append(command, "--host="+host)
	}
	return command
}

// SnapshotCommand shows one snapshot.
func SnapshotCommand(id string) []string {
	return []string{"snapshots", "--json", "--no-lock", "--", id}
}

// literally is a pattern that a path alone matches: restic's patterns are those of
// Go's filepath.Match, with ** between slashes besides.
func literally(p string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(p)
}
