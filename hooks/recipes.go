package hooks

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
)

//go:embed recipes/mariadb.sh
var mariadbScript string

//go:embed recipes/postgresql.sh
var postgresqlScript string

//go:embed recipes/redis.sh
var redisScript string

//go:embed recipes/fsfreeze.sh
var fsfreezeScript string

//go:embed recipes/fsfreeze-thaw.sh
var fsfreezeThawScript string

//go:embed recipes/mongodb-client.sh
var mongodbClient string

//go:embed recipes/mongodb.sh
var mongodbScript string

//go:embed recipes/mongodb-thaw.sh
var mongodbThawScript string

// recipe is a built-in hold.
type recipe struct {
	// script for the shell. It is given the longest to wait for its lock and the
	// longest to hold, in seconds, and runs in a process group of its own.
	script string
	// stills is what it keeps still.
	stills v1alpha1.Stills
	// thaw is a script for what a freeze that outlives its session leaves behind where
	// the session was killed, empty where no freeze does.
	thaw string
	// folders is true where the scripts are given the folders of the volumes.
	folders bool
}

// recipes are the built-in holds. FLUSH TABLES WITH READ LOCK holds commits
// back, while InnoDB goes on writing pages, log and purge
// (https://mariadb.com/kb/en/flush/). PostgreSQL holds nothing back, and recovers
// from a copy of one instant
// (https://www.postgresql.org/docs/current/backup-file.html). CLIENT PAUSE holds
// writes back, and saves and rewrites go on (https://redis.io/commands/client-pause).
// fsyncLock blocks writes, while journal and snapshots of WiredTiger may still change
// files (https://www.mongodb.com/docs/manual/reference/method/db.fsyncLock/).
// A file system that is frozen isn't written to by anybody, and stays so without its
// session (https://man7.org/linux/man-pages/man8/fsfreeze.8.html).
var recipes = map[string]recipe{
	"mariadb":    {script: mariadbScript, stills: v1alpha1.StillsCommits},
	"mysql":      {script: mariadbScript, stills: v1alpha1.StillsCommits},
	"postgresql": {script: postgresqlScript, stills: v1alpha1.StillsCommits},
	"redis":      {script: redisScript, stills: v1alpha1.StillsCommits},
	"valkey":     {script: redisScript, stills: v1alpha1.StillsCommits},
	"mongodb":    {script: mongodbClient + mongodbScript, stills: v1alpha1.StillsCommits, thaw: compact(mongodbClient + mongodbThawScript)},
	"fsfreeze":   {script: fsfreezeScript, stills: v1alpha1.StillsFiles, thaw: compact(fsfreezeThawScript), folders: true},
}

// notByFiles are applications that can't be restored from a copy of their volumes, or
// not surely, by their makers' word, and what to do instead.
var notByFiles = map[string]string{
	"elasticsearch": "Elasticsearch can't be restored from a copy of its files: use its snapshot API (PUT _snapshot/<repository>/<snapshot>) instead",
	"opensearch":    "OpenSearch isn't known to start from a copy of its files: use its snapshot API (PUT _snapshot/<repository>/<snapshot>) instead",
	"etcd":          "a copy of etcd's files may lack what only its log has: use its own snapshot (etcdctl snapshot save <file>) instead",
}

// limitMargin is how much longer than the timeout a recipe may hold by itself,
// should nobody be there any more to end it.
const limitMargin = 5 * time.Second

// maxLockWait keeps a recipe from stalling writers behind a long query.
const maxLockWait = 10 * time.Second

// recipeCommand is the held session of a recipe.
func recipeCommand(name string, timeout time.Duration) ([]string, error) {
	if instead, ok := notByFiles[name]; ok {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonUnknownRecipe, "%s", instead)
	}
	known, ok := recipes[name]
	if !ok {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonUnknownRecipe,
			"there is no recipe %q: write one of %s, or a command of your own as hold, or as pre and post", name, recipeNames())
	}
	return heldBy(known.script, name, timeout+limitMargin, min(maxLockWait, timeout/3)), nil
}

// heldBy is the command of a script that is ended at the limit.
func heldBy(script, name string, limit, wait time.Duration) []string {
	return []string{"timeout", seconds(limit), "/bin/sh", "-c", script, "lull-" + name, seconds(wait), seconds(limit)}
}

func recipeNames() string {
	return strings.Join(slices.Sorted(maps.Keys(recipes)), ", ")
}

// seconds rounds up, to at least 1.
func seconds(d time.Duration) string {
	return fmt.Sprint(max(1, int((d+time.Second-1)/time.Second)))
}
