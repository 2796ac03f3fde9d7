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
		if err := source.restic.run(ctx, run{args: (&resticexport.Unlock{}).Command(), isLook: true}); err != nil {
			return ofTheSource(err)
		}
		if err := m.restic.run(ctx, run{args: (&resticexport.Unlock{}).Command(), isLook: true}); err != nil {
			return err
		}
	}
	own, missing, err := m.uncopied(ctx, source)
	if err != nil {
		return err
	}
	result.Copy = &resticexport.CopiedSnapshots{}
	for ids := range slices.Chunk(missing, resticexport.MaxIDs) {
		if _, err := m.restic.talk(ctx, run{args: task.Command(ids)}); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		copied := missing
		if own, missing, err = m.uncopied(ctx, source); err != nil {
			return err
		}
		for _, id := range copied {
			if slices.Contains(missing, id) {
				return failed(resticexport.CauseNotVerified, "restic copied snapshot %s, but the repository lists no copy of it", id)
			}
		}
		result.Copy.Copied = len(copied)
	}
	own = slices.DeleteFunc(own, func(id string) bool { return slices.Contains(missing, id) }) // exported meanwhile
	result.Copy.Snapshots, result.Copy.ExportsHash = len(own), resticexport.ExportsHash(own)
	return nil
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
