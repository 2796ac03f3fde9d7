package points

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// File is where the list is kept, for people to read and for changes of it to
// be seen.
const File = "test/faults/failpoints.txt"

const header = `# The failpoints of the manager. Generated from the code: make generate.
# What is done, and the functions that do it, the innermost first.
`

// Write writes the list.
func Write(root string, all []Point) error {
	return os.WriteFile(filepath.Join(root, File), []byte(text(all)), 0o644)
}

// Check compares the list with the code.
func Check(root string, all []Point) error {
	there, err := os.ReadFile(filepath.Join(root, File))
	if err != nil {
		return err
	}
	if string(there) != text(all) {
		return fmt.Errorf("%s isn't what the code has: run make generate and commit", File)
	}
	return nil
}

func text(all []Point) string {
	var b strings.Builder
	b.WriteString(header)
	for _, p := range all {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}
