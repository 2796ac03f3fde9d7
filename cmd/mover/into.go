package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// place is where paths are written: a volume's root, or a folder of it. Such a
// folder is written under another name beside its place, and gets its own once all
// is in it. Whose volume it is may have put anything there: every name is looked up
// below an os.Root, and no symbolic link is followed.
type place struct {
	volume *os.Root
	// into is the folder, draft what it is called until it is whole. Both are empty
	// for the volume's root.
	into, draft string
}

// openPlace makes the draft. What an attempt before has left of it goes.
func openPlace(data, into string) (*place, error) {
	volume, err := os.OpenRoot(data)
	if err != nil {
		return nil, failed(resticexport.CauseFailed, "the volume can't be reached: %v", err)
	}
	p := &place{volume: volume, into: strings.TrimPrefix(into, "/")}
	if into == "" {
		return p, nil
	}
	p.draft = path.Join(path.Dir(p.into), fmt.Sprintf(".lull-%.8x", sha256.Sum256([]byte(into))))
	if err := p.make(); err != nil {
		p.close()
		return nil, p.failure(err)
	}
	return p, nil
}

func (p *place) make() error {
	mode, err := p.look()
	if err != nil {
		return err
	}
	if err := p.volume.MkdirAll(path.Dir(p.into), 0o755); err != nil {
		return err
	}
	if err := removeAll(p.volume, p.draft); err != nil {
		return err
	}
	if err := p.volume.Mkdir(p.draft, 0o755); err != nil {
		return err
	}
	return p.volume.Chmod(p.draft, mode)
}

// look is an error where the folder can't be written without harm to what is there.
// mode is that of the folder, or the usual one where it is to be made.
func (p *place) look() (mode fs.FileMode, err error) {
	for i, sign := range p.into + "/" {
		if sign != '/' {
			continue
		}
		at := p.into[:i]
		is, err := p.volume.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return 0o755, nil
		case err != nil:
			return 0, err
		case !is.IsDir():
			return 0, failed(resticexport.CauseInvalid, "/%s of the volume isn't a folder: write another spec.target.targetPath", at)
		}
		mode = is.Mode().Perm()
	}
	entries, err := fs.ReadDir(p.volume.FS(), p.into)
	if err == nil && len(entries) > 0 {
		err = failed(resticexport.CauseInvalid, "folder /%s of the volume isn't empty, and nothing is written over: write another spec.target.targetPath, or empty it", p.into)
	}
	return mode, err
}

// root is the folder to write below. Its caller closes it.
func (p *place) root() (*os.Root, error) { return p.volume.OpenRoot(path.Join(".", p.draft)) }

// path is that of the folder to write below.
func (p *place) path() string { return filepath.Join(p.volume.Name(), p.draft) }

// take gives the folder its name. An empty one that is there makes room.
func (p *place) take() error {
	if p.into == "" {
		return nil
	}
	if err := p.volume.Remove(p.into); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p.failure(err)
	}
	if err := p.volume.Rename(p.draft, p.into); err != nil {
		return p.failure(err)
	}
	p.draft = ""
	if err := flush(p.volume); err != nil {
		return p.failure(err)
	}
	return nil
}

// close removes a draft that didn't get its name.
func (p *place) close() {
	if p.draft != "" {
		_ = removeAll(p.volume, p.draft) // a next attempt removes it too
	}
	_ = p.volume.Close()
}

func (p *place) failure(err error) error {
	var known *failure
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, fs.ErrPermission):
		return failed(resticexport.CauseFailed, "user %d may not make folder /%s of the volume: %v. Write one that it may; or a mover may write everywhere in a namespace that an administrator has annotated with %s=true", os.Getuid(), p.into, err, v1alpha1.AnnotationPrivilegedMovers)
	}
	return failed(resticexport.CauseFailed, "folder /%s of the volume can't be made: %v", p.into, err)
}

// removeAll removes a path, also folders that their owner may not write in.
func removeAll(root *os.Root, p string) error {
	err := root.RemoveAll(p)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	err = fs.WalkDir(root.FS(), p, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = root.Chmod(path, 0o700)
		}
		return err
	})
	return errors.Join(err, root.RemoveAll(p))
}
