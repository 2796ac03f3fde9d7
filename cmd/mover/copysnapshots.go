package main

import (
	"context"
	"errors"
	"slices"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// copySnapshots copies the exports of the source that have no copy here. It is done
// where each of them is seen to have one.
func (m *mover) copySnapshots(ctx context.Context, task *resticexport.CopySnapshots, result *resticexport.Result) error {
	source := m.ofSource()
	if task.Unlock {
		if err := m.unlockBoth(ctx, source); err != nil {
			return err
		}
	}
	own, copied, err := m.uncopied(ctx, source)
	if err != nil {
		return err
	}
	for ids := range slices.Chunk(copied, resticexport.MaxIDs) {
		if _, err := m.restic.talk(ctx, run{args: task.Command(ids)}); err != nil {
			return err
		}
	}
	if len(copied) > 0 {
		if own, err = m.verifyCopies(ctx, source, copied); err != nil {
			return err
		}
	}
	result.Copy = &resticexport.CopiedSnapshots{Copied: len(copied), Snapshots: len(own), ExportsHash: resticexport.ExportsHash(own)}
	return nil
}

// verifyCopies sees that what was copied has a copy here. own are the source's exports
// then, without those that were made meanwhile.
func (m *mover) verifyCopies(ctx context.Context, source *mover, copied []string) (own []string, err error) {
	own, missing, err := m.uncopied(ctx, source)
	if err != nil {
		return nil, err
	}
	for _, id := range copied {
		if slices.Contains(missing, id) {
			return nil, failed(resticexport.CauseNotVerified, "restic copied snapshot %s, but the repository lists no copy of it", id)
		}
	}
	return slices.DeleteFunc(own, func(id string) bool { return slices.Contains(missing, id) }), nil
}

// unlockBoth removes the locks that restic calls stale.
func (m *mover) unlockBoth(ctx context.Context, source *mover) error {
	unlock := run{args: (&resticexport.Unlock{}).Command(), isLook: true}
	if err := source.restic.run(ctx, unlock); err != nil {
		return ofTheSource(err)
	}
	return m.restic.run(ctx, unlock)
}

// uncopied are the source's own exports, oldest first, and those of them that have
// no copy here.
func (m *mover) uncopied(ctx context.Context, source *mover) (own, missing []string, err error) {
	from, err := source.ours(ctx, "")
	if err != nil {
		return nil, nil, ofTheSource(err)
	}
	var into []resticexport.ResticSnapshot
	err = m.restic.look(ctx, resticexport.SnapshotsCommand(""), eachOf(func(s resticexport.ResticSnapshot) { into = append(into, s) }))
	own = resticexport.OwnExports(from)
	return own, resticexport.Uncopied(own, into), err
}

// ofSource is a mover that works in the repository that is copied from.
func (m *mover) ofSource() *mover {
	source := *m
	_, source.repository = cut(m.restic.env, resticexport.EnvFromRepository)
	_, password := cut(m.restic.env, resticexport.EnvFromPasswordFile)
	source.restic = m.restic.with(resticexport.EnvRepository, source.repository).with(resticexport.EnvPasswordFile, password)
	return &source
}

// ofTheSource tells a failure in the repository that is copied from. That there is
// none isn't told by that cause, upon which one would be made in the other place.
func ofTheSource(err error) error {
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	cause := f.cause
	if cause == resticexport.CauseNoRepository {
		cause = resticexport.CauseFailed
	}
	return &failure{cause: cause, message: "the repository that is copied from: " + f.message, exitCode: f.exitCode}
}
