package points

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/types"
	"path"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

const module = "github.com/lull-dev/lull"

// hooks and controllers, with all below the latter, are the packages that write.
const (
	hooks       = module + "/hooks"
	controllers = module + "/controllers"
)

func hasPoints(pkg *types.Package) bool {
	return pkg.Path() == hooks || pkg.Path() == controllers || strings.HasPrefix(pkg.Path(), controllers+"/")
}

// maxDepth is the longest chain of callers in a name.
const maxDepth = 3

// Point is one failpoint.
type Point struct {
	// What is done: a method of a client, or Exec.
	What string
	// By are the functions that do it, the innermost first.
	By []string
}

func (p Point) String() string { return p.What + " " + strings.Join(p.By, "<") }

// Parse reads what String wrote.
func Parse(line string) (Point, error) {
	what, by, found := strings.Cut(line, " ")
	if !found {
		return Point{}, fmt.Errorf("%q isn't a failpoint", line)
	}
	return Point{What: what, By: strings.Split(by, "<")}, nil
}

// Covers is true for what is done by those functions, the innermost first.
func (p Point) Covers(what string, by []string) bool {
	return p.What == what && len(by) >= len(p.By) && slices.Equal(p.By, by[:len(p.By)])
}

// sessions are the functions that begin one.
var sessions = []string{"hooks.open", "hooks.podSession.openWatchman"}

// Held is true for the command of a held session or a watchman, whose words are
// moments too.
func (p Point) Held() bool { return p.What == "Exec" && slices.Contains(sessions, p.By[len(p.By)-1]) }

// Moments at which a manager can be killed there.
func (p Point) Moments() []string {
	if p.Held() {
		return []string{"before", "HELD", "release", "STILL_HELD", "after"}
	}
	return []string{"before", "after"}
}

// function is what is known of one function.
type function struct {
	name    string
	writes  []string
	callers map[*function]bool
	// isValue: it is kept or handed on as a value, and may be called by anybody.
	isValue bool
}

// Find finds all failpoints in the code of the module that holds dir.
func Find(dir string) ([]Point, error) {
	config := &packages.Config{
		Dir:  dir,
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo,
	}
	loaded, err := packages.Load(config, hooks, controllers+"/...")
	if err != nil {
		return nil, err
	}
	known := map[string]*function{}
	for _, p := range loaded {
		for _, failed := range p.Errors {
			err = errors.Join(err, failed)
		}
		for _, file := range p.Syntax {
			read(p, file, known)
		}
	}
	if err != nil {
		return nil, err
	}
	var found []Point
	for _, f := range known {
		for _, what := range f.writes {
			for _, by := range chains([]*function{f}) {
				found = append(found, Point{What: what, By: by})
			}
		}
	}
	slices.SortFunc(found, func(a, b Point) int {
		return cmp.Or(slices.Compare(a.By, b.By), cmp.Compare(a.What, b.What))
	})
	return slices.CompactFunc(found, func(a, b Point) bool { return a.String() == b.String() }), nil
}

// read takes in what the functions of a file write and whom they call.
// Closures count as the functions that they are written in.
func read(p *packages.Package, file *ast.File, known map[string]*function) {
	for _, declared := range file.Decls {
		var caller *function // none, outside functions
		if decl, ok := declared.(*ast.FuncDecl); ok {
			caller = find(known, p.TypesInfo.Defs[decl.Name].(*types.Func))
		}
		called := calledIn(declared)
		ast.Inspect(declared, func(n ast.Node) bool {
			name, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			used, ok := p.TypesInfo.Uses[name].(*types.Func)
			if !ok || used.Pkg() == nil {
				return true
			}
			if what := writes(used); what != "" && caller != nil {
				caller.writes = append(caller.writes, what)
			} else if hasPoints(used.Pkg()) {
				find(known, used).isUsed(caller, called[name])
			}
			return true
		})
	}
}

// calledIn are the names of the functions that a declaration calls. Others that
// it names are kept or handed on as values.
func calledIn(declared ast.Node) map[*ast.Ident]bool {
	called := map[*ast.Ident]bool{}
	ast.Inspect(declared, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch f := ast.Unparen(call.Fun).(type) {
		case *ast.Ident:
			called[f] = true
		case *ast.SelectorExpr:
			called[f.Sel] = true
		case *ast.IndexExpr: // of a generic function
			if name, ok := f.X.(*ast.Ident); ok {
				called[name] = true
			}
		}
		return true
	})
	return called
}

// isUsed notes a use of the function, by a caller or as a value.
func (f *function) isUsed(by *function, called bool) {
	switch {
	case !called || by == nil:
		f.isValue = true
	case by != f:
		f.callers[by] = true
	}
}

func find(known map[string]*function, f *types.Func) *function {
	f = f.Origin() // of a generic one: what is written in the code
	full := f.FullName()
	if known[full] == nil {
		known[full] = &function{name: nameOf(f), callers: map[*function]bool{}}
	}
	return known[full]
}

// nameOf is a function's name as the failpoints in the manager write it
// (cmd/manager/failpoints.go): by its package but for package controllers, its
// receiver without the word Reconciler, and itself.
func nameOf(f *types.Func) string {
	var parts []string
	if last := path.Base(f.Pkg().Path()); last != "controllers" {
		parts = append(parts, last)
	}
	if receiver := f.Signature().Recv(); receiver != nil {
		t := receiver.Type()
		if pointer, ok := t.(*types.Pointer); ok {
			t = pointer.Elem()
		}
		if named, ok := t.(*types.Named); ok {
			parts = append(parts, strings.ReplaceAll(named.Obj().Name(), "Reconciler", ""))
		}
	}
	parts = append(parts, strings.ReplaceAll(f.Name(), "Reconciler", ""))
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ".")
}

// writes says what a function writes: the methods of a client that change
// something, and Exec. Reading is nothing.
func writes(f *types.Func) string {
	receiver := f.Signature().Recv()
	if receiver == nil {
		return ""
	}
	if !types.IsInterface(receiver.Type()) {
		return ""
	}
	if f.Pkg().Path() == hooks && f.Name() == "Exec" {
		return "Exec"
	}
	if f.Pkg().Path() != "sigs.k8s.io/controller-runtime/pkg/client" {
		return ""
	}
	switch f.Name() {
	case "Create", "Update", "Patch", "Apply", "Delete", "DeleteAllOf":
		if named, ok := receiver.Type().(*types.Named); ok && strings.HasPrefix(named.Obj().Name(), "SubResource") {
			return "sub." + f.Name()
		}
		return f.Name()
	}
	return ""
}

// chains are the names of a chain of functions, each as long as it has to be.
func chains(chain []*function) [][]string {
	outer := chain[len(chain)-1]
	if outer.isValue || len(outer.callers) < 2 || len(chain) == maxDepth {
		var names []string
		for _, f := range chain {
			names = append(names, f.name)
		}
		return [][]string{names}
	}
	var all [][]string
	for caller := range outer.callers {
		if !slices.Contains(chain, caller) {
			all = append(all, chains(append(slices.Clone(chain), caller))...)
		}
	}
	return all
}
