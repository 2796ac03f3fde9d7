// Package checkout finds the source tree of the project that the cluster's
// programs and images are built from.
package checkout

import (
	"errors"
	"os"
	"path/filepath"
)

// Find returns the project's root folder: the nearest one that holds
// test/cluster, upwards from the working folder or from this program.
func Find() (string, error) {
	var starts []string
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	if program, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(program))
	}
	for _, dir := range starts {
		if root, found := upwards(dir); found {
			return root, nil
		}
	}
	return "", errors.New("this is no checkout of the project: run the program inside one")
}

func upwards(dir string) (root string, found bool) {
	for {
		if _, err := os.Stat(filepath.Join(dir, "test", "cluster", "programs", "go.mod")); err == nil {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}
