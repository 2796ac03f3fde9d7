package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every folder with Go code stands in the map of ARCHITECTURE.md, by its path
// or, in the modules of the test cluster and of the driver, by its module's.
func TestEveryPackageIsOnTheMap(t *testing.T) {
	page, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for folder := range packages(t) {
		name := folder
		for _, module := range []string{"test/cluster", "test/csidriver"} {
			if strings.HasPrefix(folder, module+"/") {
				name = module
			}
		}
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("ARCHITECTURE.md has no row for %s", name)
		}
	}
}

// Every package says in a doc.go what belongs into it, and what doesn't. The modules
// of the test cluster and of the driver say it in a README; the program of an image
// is one file.
func TestEveryPackageHasADoc(t *testing.T) {
	for folder := range packages(t) {
		if strings.HasPrefix(folder, "test/cluster") || strings.HasPrefix(folder, "test/csidriver") || strings.HasPrefix(folder, "test/images") {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", folder, "doc.go")); err != nil {
			t.Error(err)
		}
	}
}

// What the map names is there.
func TestTheMapNamesOnlyWhatIsThere(t *testing.T) {
	page, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| package |")
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.SplitSeq(table, "\n") {
		for i, part := range strings.Split(strings.Split(row+"||", "|")[1], "`") {
			if i%2 == 0 {
				continue
			}
			if info, err := os.Stat(filepath.Join("..", part)); err != nil || !info.IsDir() {
				t.Errorf("ARCHITECTURE.md has a row for %s, which is no folder", part)
			}
		}
	}
}

// packages are the folders with Go code, from the root of the checkout.
func packages(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go"):
			folder, err := filepath.Rel("..", filepath.Dir(path))
			found[filepath.ToSlash(folder)] = true
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
