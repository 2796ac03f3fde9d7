package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/names"
)

func (m *mover) open(ctx context.Context, task *resticexport.Open, result *resticexport.Result) error {
	seen, err := m.see(ctx)
	if err != nil {
		return err
	}
	result.Repository = seen
	if !task.Measure {
		return nil
	}
	// It is open, whether it can be measured or not.
	bounded, end := context.WithTimeout(ctx, measureLimit)
	defer end()
	var stats resticexport.ResticStats
	if m.restic.document(bounded, run{args: resticexport.StatsCommand}, into(&stats)) == nil {
		seen.Bytes = stats.TotalSize
	}
	return nil
}

// measureLimit bounds what takes a look at every folder of every snapshot.
const measureLimit = 5 * time.Minute

// init makes a repository only where restic says that there is none. On any other
// error there may be one, which another would destroy.
func (m *mover) init(ctx context.Context, task *resticexport.Init, result *resticexport.Result) error {
	_, err := m.config(ctx)
	var f *failure
	isNew := errors.As(err, &f) && f.cause == resticexport.CauseNoRepository
	if err != nil && !isNew {
		return err
	}
	if isNew {
		if err := m.create(ctx, task); err != nil {
			return err
		}
	}
	if result.Repository, err = m.see(ctx); err != nil {
		return err
	}
	result.Repository.IsNew = isNew
	return m.countKeys(ctx, result.Repository)
}

func (m *mover) create(ctx context.Context, task *resticexport.Init) error {
	if task.LikeSource {
		if _, err := m.ofSource().config(ctx); err != nil {
			return ofTheSource(err)
		}
	}
	if _, err := m.restic.talk(ctx, run{args: task.Command()}); err != nil {
		return halfMade(err)
	}
	if place, isFolder := strings.CutPrefix(m.repository, "local:"); isFolder {
		return share(place)
	}
	return nil
}

// halfMade says what to do where there are keys and no config: restic makes nothing
// there.
func halfMade(err error) error {
	var f *failure
	if !errors.As(err, &f) || !strings.Contains(f.message, resticexport.HasKeys) {
		return err
	}
	return failed(resticexport.CauseFailed, "%s. There are keys and no config: where nothing is below data, a mover that made the repository was cut off, so remove what is below keys; else the config was lost, so bring that back from a copy and remove nothing", f.message)
}

// share opens the folder of a repository to its group: movers read as the users of
// their applications, and have that group in common. restic makes its files for
// the group too where it sees the config so.
func share(place string) error {
	return filepath.WalkDir(place, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Chmod(path, info.Mode().Perm()|0o070|os.ModeSetgid)
		}
		return os.Chmod(path, info.Mode().Perm()|0o040)
	})
}

// countKeys counts the keys. A new repository has one: two are of two that made it
// at the same time, of which one can't read it.
func (m *mover) countKeys(ctx context.Context, seen *resticexport.OpenedRepository) error {
	err := m.restic.look(ctx, resticexport.KeysCommand, eachOf(func(resticexport.ResticKey) { seen.Keys++ }))
	if err == nil && seen.IsNew && seen.Keys != 1 {
		return failed(resticexport.CauseFailed, "the new repository has %d keys: another made it at the same time. Empty its place, and let one make it", seen.Keys)
	}
	return err
}

func (m *mover) config(ctx context.Context) (resticexport.ResticConfig, error) {
	var config resticexport.ResticConfig
	err := m.restic.look(ctx, resticexport.ConfigCommand, into(&config))
	if err != nil {
		return config, m.explain(ctx, err)
	}
	if config.ID == "" {
		err = failed(resticexport.CauseFailed, "restic shows a config without an ID")
	}
	return config, err
}

// explain finds out what a server of S3 has against a request. restic looks for the
// config by a HEAD, and the answer to that has no words. Where restic isn't told the
// region it first asks for that by a GET, whose answer has some.
func (m *mover) explain(ctx context.Context, err error) error {
	var f *failure
	if !strings.HasPrefix(m.repository, "s3:") || !errors.As(err, &f) {
		return err
	}
	switch f.cause {
	case resticexport.CauseNoRepository:
		return m.explainNothing(ctx, f)
	case resticexport.CauseAccessDenied:
		return m.explainRefusal(ctx, f)
	}
	return err
}

// explainNothing tells no bucket from no repository: restic would make both. A server
// may look at the region of a signature before it looks for the bucket, so none is
// given. Whether a bucket is there is no secret to most servers; where it is, restic's
// word stays.
func (m *mover) explainNothing(ctx context.Context, f *failure) error {
	asking, _ := m.restic.withoutRegion()
	asking.options = append(asking.options, resticexport.OptionUnsigned)
	if told := asking.why(ctx); told != nil && told.cause == resticexport.CauseNoBucket {
		return told
	}
	return f
}

// explainRefusal tells the wrong region from others, and is in the server's words
// where it has some.
func (m *mover) explainRefusal(ctx context.Context, f *failure) error {
	asking, region := m.restic.withoutRegion()
	if region == "" {
		return f
	}
	told := asking.why(ctx)
	switch {
	case told == nil || resticexport.IsVerdict(told.exitCode):
		return failed(resticexport.CauseWrongRegion, "the server refuses region %s, and answers where none is given: correct it, or leave it out\n%s", region, f.message)
	case told.cause == resticexport.CauseAccessDenied:
		return told
	}
	return f
}

// see is what there is to see of the repository, without a look into its
// snapshots.
func (m *mover) see(ctx context.Context) (*resticexport.OpenedRepository, error) {
	config, err := m.config(ctx)
	if err != nil {
		return nil, err
	}
	seen := &resticexport.OpenedRepository{ID: config.ID}
	hosts, paths := map[string]bool{}, map[string]bool{}
	var own []string
	err = m.restic.look(ctx, resticexport.SnapshotsCommand(""), eachOf(func(s resticexport.ResticSnapshot) {
		seen.Snapshots++
		if s.IsOwn() {
			own = append(own, s.ID)
		}
		hosts[s.Hostname] = true
		for _, p := range s.Paths {
			paths[p] = true
		}
		if seen.Newest == nil || s.Time.After(*seen.Newest) {
			seen.Newest = &s.Time
		}
	}))
	seen.Hosts, seen.HostCount = sorted(hosts), len(hosts)
	seen.Paths, seen.PathCount = sorted(paths), len(paths)
	seen.ExportsHash = resticexport.ExportsHash(own)
	return seen, err
}

func sorted(set map[string]bool) []string {
	var all []string
	for name := range set {
		all = append(all, name)
	}
	return names.Set(all)
}
