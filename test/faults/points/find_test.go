package points

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"slices"
	"testing"

	"golang.org/x/tools/go/packages"
)

func TestFunctionsAreNamedAsTheManagerNamesThem(t *testing.T) {
	const text = `package restore
type Reconciler struct{}
func (r *Reconciler) swap() {}
type attempt struct{}
func (a attempt) run() {}
type Loop[T any] struct{}
func (l *Loop[T]) save() {}
func save() {}`
	for in, want := range map[string][]string{
		controllers + "/restore": {"restore.Loop.save", "restore.attempt.run", "restore.save", "restore.swap"},
		controllers:              {"Loop.save", "attempt.run", "save", "swap"},
		hooks:                    {"hooks.Loop.save", "hooks.attempt.run", "hooks.save", "hooks.swap"},
	} {
		var names []string
		for _, f := range checked(t, in, text).TypesInfo.Defs {
			if f, ok := f.(*types.Func); ok {
				names = append(names, nameOf(f))
			}
		}
		if slices.Sort(names); !slices.Equal(names, want) {
			t.Errorf("%s: %q", in, names)
		}
	}
}

// A function that several share is named with its callers. One whose callers
// the code doesn't tell, as it is kept as a value, is named by itself.
func TestPointsAreNamedAsFarAsTheCallersAreKnown(t *testing.T) {
	const text = `package backup
func save() {}
func begin() { save() }
func end() { func() { save() }() }
func step() { save() }
func other() { step() }
var steps = []func(){step}
func listed() []func() { return []func(){step} }`
	p := checked(t, controllers+"/backup", text)
	known := map[string]*function{}
	read(p, p.Syntax[0], known)
	var names []string
	for _, chain := range chains([]*function{known[controllers+"/backup.save"]}) {
		names = append(names, Point{What: "Patch", By: chain}.String())
	}
	slices.Sort(names)
	want := []string{"Patch backup.save<backup.begin", "Patch backup.save<backup.end", "Patch backup.save<backup.step"}
	if !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
}

// checked is a package of one file.
func checked(t *testing.T, path, text string) *packages.Package {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "file.go", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.Default()}
	if _, err := config.Check(path, files, []*ast.File{file}, info); err != nil {
		t.Fatal(err)
	}
	return &packages.Package{Syntax: []*ast.File{file}, TypesInfo: info}
}
