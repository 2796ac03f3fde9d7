package resticexport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"unicode"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Limits of a task.
const (
	MaxClaims = 16
	MaxIDs    = 500

	maxText        = 1024
	maxConcurrency = 64
)

// String is the task as the argument of a mover.
func (t Task) String() string {
	text, err := json.Marshal(t)
	if err != nil {
		return err.Error() // a task is plain data: it always can be written
	}
	return string(text)
}

// ParseTask reads the argument of a mover. Fields that aren't known are an error,
// and so is what can't be done.
func ParseTask(argument string) (Task, error) {
	var t Task
	decoder := json.NewDecoder(bytes.NewReader([]byte(argument)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&t); err != nil {
		return Task{}, fmt.Errorf("the task can't be read: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Task{}, errors.New("the task can't be read: something follows it")
	}
	kind, err := t.only()
	if err != nil {
		return Task{}, err
	}
	if err := kind.task.validate(); err != nil {
		return Task{}, fmt.Errorf("%s: %w", kind.name, err)
	}
	return t, nil
}

// Kind is the name of the field that is set, as backup. Empty where not exactly
// one is.
func (t Task) Kind() string {
	kind, err := t.only()
	if err != nil {
		return ""
	}
	return kind.name
}

type kind struct {
	name string
	task interface{ validate() error }
}

func (t Task) only() (kind, error) {
	var set []kind
	add := func(name string, isSet bool, task interface{ validate() error }) {
		if isSet {
			set = append(set, kind{name, task})
		}
	}
	add("open", t.Open != nil, t.Open)
	add("init", t.Init != nil, t.Init)
	add("backup", t.Backup != nil, t.Backup)
	add("find", t.Find != nil, t.Find)
	add("restore", t.Restore != nil, t.Restore)
	add("copy", t.Copy != nil, t.Copy)
	add("forget", t.Forget != nil, t.Forget)
	add("retain", t.Retain != nil, t.Retain)
	add("check", t.Check != nil, t.Check)
	add("prune", t.Prune != nil, t.Prune)
	add("unlock", t.Unlock != nil, t.Unlock)
	add("rekey", t.Rekey != nil, t.Rekey)
	add("copySnapshots", t.CopySnapshots != nil, t.CopySnapshots)
	if len(set) != 1 {
		return kind{}, fmt.Errorf("a task is exactly one thing to do, not %d", len(set))
	}
	return set[0], nil
}

func (*Open) validate() error   { return nil }
func (*Init) validate() error   { return nil }
func (*Unlock) validate() error { return nil }
func (*Rekey) validate() error  { return nil }

func (b *Backup) validate() error {
	if b.Time.IsZero() {
		return errors.New("the time of the cut is missing")
	}
	if b.Of < 0 {
		return fmt.Errorf("a backup of %d claims can't be", b.Of)
	}
	if b.UploadLimit < 0 || b.ReadConcurrency < 0 || b.ReadConcurrency > maxConcurrency {
		return fmt.Errorf("an upload limit of %d bytes a second and %d files at once can't be", b.UploadLimit, b.ReadConcurrency)
	}
	return errors.Join(isText("host", b.Host), isTag("claim", b.Claim), isTag("backup", string(b.BackupUID)),
		unlessEmpty("policy", b.Policy, isTag), unlessEmpty("parent", b.Parent, isID))
}

func (f *Find) validate() error {
	if f.SnapshotID != "" {
		if f.Host != "" || len(f.Claims) > 0 || f.AsOf != nil || f.BackupUID != "" {
			return errors.New("a snapshot is found by its ID, or by host and claims")
		}
		return isPrefix("snapshot", f.SnapshotID)
	}
	if len(f.Claims) > MaxClaims {
		return fmt.Errorf("%d claims can't be found at once: %d can", len(f.Claims), MaxClaims)
	}
	return errors.Join(isText("host", f.Host), all("claim", f.Claims, isTag), unlessEmpty("backup", string(f.BackupUID), isTag))
}

func (r *Restore) validate() error {
	if r.Device && (r.Folder != "" || len(r.Paths) > 0 || r.Delete || r.Into != "") {
		return errors.New("a device is restored as a whole")
	}
	if r.Into != "" && len(r.Paths) == 0 {
		return errors.New("a folder is for some paths")
	}
	return errors.Join(isID("snapshot", r.SnapshotID), unlessEmpty("folder", r.Folder, isPath), all("path", r.Paths, isPath), unlessEmpty("into", r.Into, isPath))
}

func (c *Copy) validate() error {
	if len(c.Paths) == 0 {
		return errors.New("there is no path")
	}
	return errors.Join(all("path", c.Paths, isPath), unlessEmpty("into", c.Into, isPath))
}

func (f *Forget) validate() error {
	if len(f.IDs) == 0 || len(f.IDs) > MaxIDs {
		return fmt.Errorf("%d snapshots can't be forgotten at once: 1 to %d can", len(f.IDs), MaxIDs)
	}
	return all("snapshot", f.IDs, isID)
}

func (r *Retain) validate() error {
	if len(r.Histories) == 0 || len(r.Histories) > MaxIDs {
		return fmt.Errorf("%d histories can't be retained at once: 1 to %d can", len(r.Histories), MaxIDs)
	}
	for i := range r.Histories {
		if err := r.Histories[i].validate(); err != nil {
			return err
		}
	}
	return nil
}

func (r *History) validate() error {
	if r.Rules == (v1alpha1.RetentionRules{}) {
		return errors.New("there is no rule")
	}
	return errors.Join(isText("host", r.Host), unlessEmpty("policy", r.Policy, isTag))
}

func (c *CopySnapshots) validate() error {
	if c.UploadLimit < 0 {
		return fmt.Errorf("an upload limit of %d bytes a second can't be", c.UploadLimit)
	}
	return nil
}

func (p *Prune) validate() error {
	if p.Expected < 0 {
		return fmt.Errorf("%d snapshots can't be expected", p.Expected)
	}
	return nil
}

func (c *Check) validate() error {
	if c.Part == 0 && c.Of == 0 || c.Part >= 1 && c.Part <= c.Of {
		return nil
	}
	return fmt.Errorf("there is no part %d of %d", c.Part, c.Of)
}

var (
	ids      = regexp.MustCompile(`^[0-9a-f]{64}$`)
	prefixes = regexp.MustCompile(`^[0-9a-f]{8,64}$`)
)

func isID(what, id string) error {
	if !ids.MatchString(id) {
		return fmt.Errorf("%s %q isn't an ID in full, 64 digits of 0-9 and a-f", what, id)
	}
	return nil
}

func isPrefix(what, id string) error {
	if !prefixes.MatchString(id) {
		return fmt.Errorf("%s %q isn't an ID: write 8 to 64 digits of 0-9 and a-f", what, id)
	}
	return nil
}

// isText is true of what may be an argument and part of a line.
func isText(what, text string) error {
	if text == "" || len(text) > maxText || strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("%s %.64q is empty, longer than %d bytes, or has control characters", what, text, maxText)
	}
	return nil
}

// isTag is true of what may be a tag: restic divides tags at commas.
func isTag(what, text string) error {
	if strings.ContainsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		return fmt.Errorf("%s %.64q has a comma or a space in it", what, text)
	}
	return isText(what, text)
}

// isPath is true of an absolute path that is as short as it can be, and isn't the
// root.
func isPath(what, p string) error {
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || strings.Contains(p, "\x00") {
		return fmt.Errorf("%s %.64q isn't a path from the volume's root without . and .. in it, as /etc/app.conf", what, p)
	}
	return nil
}

func unlessEmpty(what, text string, is func(what, text string) error) error {
	if text == "" {
		return nil
	}
	return is(what, text)
}

func all(what string, texts []string, are func(what, text string) error) error {
	for _, text := range texts {
		if err := are(what, text); err != nil {
			return err
		}
	}
	return nil
}
