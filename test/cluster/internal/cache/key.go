package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Key hashes what an entry is made from: some words, and the names and contents
// of all files in folders that want accepts (nil: all).
func Key(words []string, folders []string, want func(path string) bool) (string, error) {
	hash := sha256.New()
	for _, word := range words {
		fmt.Fprintf(hash, "%d:%s,", len(word), word)
	}
	for _, folder := range folders {
		if err := hashFolder(hash, folder, want); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

func hashFolder(hash io.Writer, folder string, want func(string) bool) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || (want != nil && !want(path)) {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		// The mode counts: a script that isn't executable makes another image.
		fmt.Fprintf(hash, "%d:%s,%o,%d:", len(name), name, info.Mode().Perm(), info.Size())
		return hashFile(hash, path)
	})
}

func hashFile(hash io.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(hash, file)
	return err
}
