package disk

import (
	"errors"
	"os"
	"path/filepath"
)

// CloneTogether makes each target a copy of its image, all as they are at one
// and the same instant. The name must be of no other call under way.
//
// One reflink after another can't do that: what is written between two of them
// is in the later copy only. So the whole pool is snapshotted first, which btrfs
// does within one commit of a transaction, and the copies are made from there.
func (p *Pool) CloneTogether(name string, targets map[string]string) (err error) {
	cut := filepath.Join(p.cuts, name)
	if err := removeCut(cut); err != nil {
		return err
	}
	if err := snapshotSubvolume(p.root, cut); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeCut(cut)) }()
	for image, target := range targets {
		inPool, err := filepath.Rel(p.root, image)
		if err != nil {
			return err
		}
		if err := Clone(filepath.Join(cut, inPool), target); err != nil {
			return err
		}
	}
	return nil
}

// removeCut removes what a call made, or one that was killed.
func removeCut(cut string) error {
	if _, err := os.Stat(cut); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return deleteSubvolume(cut)
}

// endCuts removes the cuts of a killed process.
func (p *Pool) endCuts() error {
	cuts, err := filepath.Glob(filepath.Join(p.cuts, "*"))
	if err != nil {
		return err
	}
	for _, cut := range cuts {
		if err := removeCut(cut); err != nil {
			return err
		}
	}
	return nil
}
