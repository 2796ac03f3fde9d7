package main

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/names"
)

// ours are the snapshots that we made of a host, oldest first; of one moment, the
// one that was made last is the last: those before it are of attempts that failed.
func (m *mover) ours(ctx context.Context, host string) ([]resticexport.ResticSnapshot, error) {
	var all []resticexport.ResticSnapshot
	err := m.restic.look(ctx, resticexport.SnapshotsCommand(host), eachOf(func(s resticexport.ResticSnapshot) {
		if _, isOurs := s.Tagged(); isOurs {
			all = append(all, s)
		}
	}))
	slices.SortStableFunc(all, func(a, b resticexport.ResticSnapshot) int {
		if a.Time.Equal(b.Time) {
			return a.Summary.BackupEnd.Compare(b.Summary.BackupEnd)
		}
		return a.Time.Compare(b.Time)
	})
	return all, err
}

// snapshot is the one snapshot that an ID, or its beginning, names.
func (m *mover) snapshot(ctx context.Context, id string) (resticexport.ResticSnapshot, error) {
	var found []resticexport.ResticSnapshot
	err := m.restic.look(ctx, resticexport.SnapshotCommand(id), eachOf(func(s resticexport.ResticSnapshot) {
		if strings.HasPrefix(s.ID, id) {
			found = append(found, s)
		}
	}))
	if err != nil {
		return resticexport.ResticSnapshot{}, err
	}
	if len(found) != 1 {
		return resticexport.ResticSnapshot{}, failed(resticexport.CauseNotFound, "the repository has no snapshot %s", id)
	}
	return found[0], nil
}

func (m *mover) find(ctx context.Context, task *resticexport.Find, result *resticexport.Result) error {
	if task.SnapshotID != "" {
		s, err := m.snapshot(ctx, task.SnapshotID)
		if err != nil {
			return err
		}
		found := foundOf(s)
		found.Host, found.Paths = s.Hostname, s.Paths
		if found.IsFile, err = m.isOfFile(ctx, &s); err != nil {
			return err
		}
		result.Snapshots = []resticexport.FoundSnapshot{found}
		return nil
	}
	all, err := m.ours(ctx, task.Host)
	if err != nil {
		return err
	}
	found := newestOfOne(all, task)
	if found == nil {
		return failed(resticexport.CauseNotFound, "the repository has no backup of %s with all of %s%s", task.Host, claimsOf(task), asOf(task))
	}
	if len(found) > resticexport.MaxClaims {
		return failed(resticexport.CauseInvalid, "the backup of %s has %d claims, and %d can be found at once: restore them one by one, each by its name in spec.source.repository.claim and all of one asOf", task.Host, len(found), resticexport.MaxClaims)
	}
	for _, s := range found {
		result.Snapshots = append(result.Snapshots, foundOf(s))
	}
	return nil
}

// isOfFile is true for a snapshot that another tool has made of one path, which isn't
// a folder.
func (m *mover) isOfFile(ctx context.Context, s *resticexport.ResticSnapshot) (isFile bool, err error) {
	if _, isOurs := s.Tagged(); isOurs || len(s.Paths) != 1 || !path.IsAbs(s.Paths[0]) {
		return false, nil
	}
	listing := &lines{each: func(line []byte) {
		node, is := resticexport.ReadMessage(line)
		isFile = isFile || is && node.Kind == resticexport.KindNode && node.Path == s.Paths[0] && node.Type != "dir"
	}}
	err = m.restic.run(ctx, run{args: resticexport.ListPathCommand(s.ID, s.Paths[0]), stdout: listing, isLook: true})
	listing.flush()
	return isFile, err
}

func claimsOf(task *resticexport.Find) string {
	if len(task.Claims) == 0 {
		return "its claims"
	}
	return names.List(task.Claims)
}

func asOf(task *resticexport.Find) string {
	if task.AsOf == nil {
		return ""
	}
	return " from before " + task.AsOf.UTC().Format(time.RFC3339)
}

// newestOfOne is a snapshot for each claim of the newest backup that has them all.
// Those of two backups would be of two moments.
func newestOfOne(all []resticexport.ResticSnapshot, task *resticexport.Find) []resticexport.ResticSnapshot {
	byBackup := map[string]map[string]resticexport.ResticSnapshot{}
	for _, s := range all {
		tags, _ := s.Tagged()
		if byBackup[string(tags.BackupUID)] == nil {
			byBackup[string(tags.BackupUID)] = map[string]resticexport.ResticSnapshot{}
		}
		byBackup[string(tags.BackupUID)][tags.Claim] = s
	}
	for _, s := range slices.Backward(all) {
		tags, _ := s.Tagged()
		if task.BackupUID != "" && tags.BackupUID != task.BackupUID {
			continue
		}
		byClaim := byBackup[string(tags.BackupUID)]
		wanted := task.Claims
		if len(wanted) == 0 && len(byClaim) == tags.Of {
			wanted = slices.Sorted(maps.Keys(byClaim))
		}
		if found := ofClaims(byClaim, wanted); len(found) > 0 && !isYounger(found, task.AsOf) {
			return found
		}
	}
	return nil
}

// isYounger is true where any of them is: claims of one backup may be cut a moment
// after each other.
func isYounger(found []resticexport.ResticSnapshot, than *time.Time) bool {
	return than != nil && slices.ContainsFunc(found, func(s resticexport.ResticSnapshot) bool { return s.Time.After(*than) })
}

func ofClaims(byClaim map[string]resticexport.ResticSnapshot, claims []string) []resticexport.ResticSnapshot {
	var found []resticexport.ResticSnapshot
	for _, claim := range claims {
		s, is := byClaim[claim]
		if !is {
			return nil
		}
		found = append(found, s)
	}
	return found
}

func foundOf(s resticexport.ResticSnapshot) resticexport.FoundSnapshot {
	tags, _ := s.Tagged()
	return resticexport.FoundSnapshot{SnapshotID: s.ID, Time: s.Time, Tags: tags, Bytes: s.Summary.TotalBytesProcessed, Device: s.IsDevice()}
}
