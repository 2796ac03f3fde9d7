package hooks

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
)

//go:embed recipes/mariadb.sh
var mariadbScript string

// recipe is a built-in hold.
type recipe struct {
	// script for the shell. It is given the longest to wait for its lock, in
	// seconds, and runs in a process group of its own.
	script string
	// stills is what it keeps still.
	stills v1alpha1.Stills
}

// recipes are the built-in holds. FLUSH TABLES WITH READ LOCK holds commits
// back, while InnoDB goes on writing pages, log and purge
// (https://mariadb.com/kb/en/flush/).
var recipes = map[string]recipe{
	"mariadb": {script: mariadbScript, stills: v1alpha1.StillsCommits},
	"mysql":   {script: mariadbScript, stills: v1alpha1.StillsCommits},
}

// limitMargin is how much longer than the timeout a recipe may hold by itself,
// should nobody be there any more to end it.
const limitMargin = 5 * time.Second

// maxLockWait keeps a recipe from stalling writers behind a long query.
const maxLockWait = 10 * time.Second

// recipeCommand is the held session of a recipe.
func recipeCommand(name string, timeout time.Duration) ([]string, error) {
	if name == "elasticsearch" {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonUnknownRecipe,
			"Elasticsearch can't be restored from a copy of its files: use its snapshot API (PUT _snapshot/<repository>/<snapshot>) instead")
	}
	known, ok := recipes[name]
	if !ok {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonUnknownRecipe,
			"there is no recipe %q: write one of %s, or a command of your own as hold, or as pre and post", name, recipeNames())
	}
	wait := min(maxLockWait, timeout/3)
	return []string{"timeout", seconds(timeout + limitMargin), "/bin/sh", "-c", known.script, "lull-" + name, seconds(wait)}, nil
}

func recipeNames() string {
	var names []string
	for name := range recipes {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// seconds rounds up, to at least 1.
func seconds(d time.Duration) string {
	return fmt.Sprint(max(1, int((d+time.Second-1)/time.Second)))
}
