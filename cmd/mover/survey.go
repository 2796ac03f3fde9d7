package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// survey is a look at what is in a volume before restic takes it. What can't be read
// is found out first: restic would make a snapshot of the rest, and where nothing may
// be removed from the repository it would stay there, as one that looks whole.
type survey struct {
	excludes []string
	// hasFile is true where there is anything but folders, or anything that can't be
	// looked at.
	hasFile bool
	// unreadable are the first few that may not be read, and count is how many.
	unreadable []string
	count      int
}

// atOnce is how many names of a folder are read at once.
const atOnce = 1024

func (s *survey) folder(ctx context.Context, path string) error {
	if ctx.Err() != nil {
		return failed(resticexport.CauseInterrupted, "the mover was told to end")
	}
	open, err := os.Open(path)
	if err != nil {
		s.hear(path, err)
		return nil
	}
	below, err := s.list(open)
	s.hear(path, errors.Join(err, open.Close()))
	for _, name := range below {
		if err := s.folder(ctx, filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

// list looks at what is in a folder, and names the folders below.
func (s *survey) list(folder *os.File) (below []string, err error) {
	for {
		entries, err := folder.ReadDir(atOnce)
		for _, entry := range entries {
			path := filepath.Join(folder.Name(), entry.Name())
			switch {
			case slices.Contains(s.excludes, path):
			case entry.IsDir():
				below = append(below, entry.Name())
			default:
				s.file(path, entry)
			}
		}
		if errors.Is(err, io.EOF) {
			return below, nil
		}
		if err != nil {
			return below, err
		}
	}
}

func (s *survey) file(path string, entry fs.DirEntry) {
	s.hasFile = true
	if entry.Type().IsRegular() {
		s.hear(path, unix.Access(path, unix.R_OK))
	}
}

// hear notes what may not be read. Of another error, as of a disk, restic tells.
func (s *survey) hear(path string, err error) {
	if err == nil {
		return
	}
	s.hasFile = true
	if !errors.Is(err, fs.ErrPermission) {
		return
	}
	if s.count++; len(s.unreadable) < keptErrors {
		s.unreadable = append(s.unreadable, resticexport.Truncate(path, longestText)+": permission denied")
	}
}

// failure is an error where something may not be read.
func (s *survey) failure() error {
	if s.count == 0 {
		return nil
	}
	more := ""
	if n := s.count - len(s.unreadable); n > 0 {
		more = fmt.Sprintf("\nand %d more", n)
	}
	return failed(resticexport.CauseSourceUnreadable, "user %d may not read all of the volume:\n%s%s", os.Getuid(), strings.Join(s.unreadable, "\n"), more)
}
