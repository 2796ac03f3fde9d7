//go:build real

package hooks

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long a trial waits for what a script or a server does.
var patience = 20 * time.Second

// database is a real server that a recipe is tried on.
type database interface {
	// start starts the server, with more settings, and returns once it answers.
	start(settings ...string) error
	// kill ends it as a crash would.
	kill() error
	// env is what the recipe finds in the environment of the server's container.
	env() []string
	// trials are what its recipe promises, those first that need the most of it.
	trials() []trial
}

// outliving is what stays frozen where a session is killed.
type outliving interface {
	// place is the command of a hold with what a pod adds to it, where that runs.
	place(command []string) []string
	// thawedBy hands over the script that thaws.
	thawedBy(script string)
}

// trial is one promise of a recipe: an error where a script doesn't keep it.
type trial struct {
	name string
	try  func(hold holder) error
}

// holder begins to hold the server by a script, which has more in its environment.
type holder func(limit time.Duration, more ...string) *trying

// forever is a limit that no trial reaches.
const forever = time.Hour

func aDatabase(t *testing.T, recipe string) database {
	t.Helper()
	switch recipe {
	case "mariadb", "mysql":
		return aMariaDB(t, recipe)
	case "postgresql":
		return aPostgreSQL(t)
	case "redis", "valkey":
		return aRedis(t, recipe)
	case "fsfreeze":
		return aFileSystem(t)
	case "mongodb":
		return aMongoDB(t)
	}
	t.Fatalf("no server of %s is tried", recipe)
	return nil
}

// tried are all recipes. Which of them, make test-real says for each version of
// Debian: it has their servers. What has none is tried on the machine itself.
var tried = []string{"mariadb", "mysql", "postgresql", "redis", "valkey", "fsfreeze", "mongodb"}

func TestRecipesHoldRealServers(t *testing.T) {
	for _, name := range tried {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := aDatabase(t, name)
			if err := db.start(); err != nil {
				t.Fatal(err)
			}
			for _, c := range db.trials() {
				t.Run(c.name, func(t *testing.T) {
					if err := try(db, name, recipes[name], c); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

// A recipe whose trials don't miss a command of it either doesn't need that, or isn't
// tried enough. The whole script is much quicker than what is waited for here.
func TestRecipesNeedEachCommand(t *testing.T) {
	defer func(d time.Duration) { t.Cleanup(func() { patience = d }) }(patience)
	patience = 10 * time.Second
	for _, name := range tried {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shorter, shares := shorterOnes(t, recipes[name]), sharesOf(recipes[name])
			var all sync.WaitGroup
			for share := range shares {
				db := aDatabase(t, name)
				all.Go(func() {
					if err := tryAll(db, name, recipes[name]); err != nil {
						t.Errorf("as it is: %v", err)
						return
					}
					for i := share; i < len(shorter); i += shares {
						if tryAll(db, name, shorter[i].recipe) == nil {
							t.Errorf("all goes well without line %s", shorter[i].without)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// sharesOf is how many of the shorter scripts are tried side by side, each on a server of
// its own: they mostly wait.
func sharesOf(r recipe) int {
	if r.thaw != "" {
		return 9 // there is no server
	}
	return 3
}

// shorter is a recipe without one of its lines.
type shorter struct {
	without string
	recipe  recipe
}

// shorterOnes are a recipe without each of its lines that its scripts can be read
// without.
func shorterOnes(t *testing.T, of recipe) []shorter {
	t.Helper()
	var all []shorter
	for without, script := range withoutOne(of.script) {
		all = append(all, shorter{without, recipe{script: script, thaw: of.thaw}})
	}
	for without, script := range withoutOne(of.thaw) {
		if _, line, _ := strings.Cut(without, ": "); strings.Contains(of.script, line) {
			continue // a line of both
		}
		all = append(all, shorter{"of its thaw " + without, recipe{script: of.script, thaw: script}})
	}
	if len(all) < 5 {
		t.Fatalf("only %d commands are taken out", len(all))
	}
	return all
}

// withoutOne yields each line that a script can be read without, and the rest.
func withoutOne(script string) iter.Seq2[string, string] {
	return func(yield func(without, script string) bool) {
		lines := strings.SplitAfter(script, "\n")
		for i, line := range lines {
			if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			rest := strings.Join(slices.Delete(slices.Clone(lines), i, i+1), "")
			if exec.Command("/bin/sh", "-n", "-c", rest).Run() == nil && !yield(fmt.Sprintf("%d: %s", i+1, line), rest) {
				return
			}
		}
	}
}

// tryAll tries all promises, on a server that has just been started, up to the first
// that isn't kept.
func tryAll(db database, name string, of recipe) error {
	if err := errors.Join(db.kill(), db.start()); err != nil {
		return err
	}
	for _, c := range db.trials() {
		if err := try(db, name, of, c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// try tries one promise, on a server that runs.
func try(db database, name string, of recipe, c trial) error {
	place := func(command []string) []string { return command }
	if outlives, ok := db.(outliving); ok {
		outlives.thawedBy(of.thaw)
		place = outlives.place
	}
	var all []*trying
	defer func() {
		for _, h := range all {
			h.end()
		}
	}()
	return c.try(func(limit time.Duration, more ...string) *trying {
		h := begin(place(heldBy(of.script, name, limit, 2*time.Second)), append(db.env(), more...))
		all = append(all, h)
		return h
	})
}

// ports are those of the servers, each its own.
var ports atomic.Int32

func aPort() string { return fmt.Sprint(20000 + (os.Getpid()%1000)*10 + int(ports.Add(1))) }

// installed is the folder of a program. The servers are in the root file systems of
// test/tools/databases, which make test-real runs these tests in.
func installed(t *testing.T, program string) string {
	t.Helper()
	for _, folder := range []string{"/usr/sbin", "/usr/bin", "/usr/lib/postgresql/*/bin"} {
		if found, _ := filepath.Glob(filepath.Join(folder, program)); len(found) > 0 {
			return filepath.Dir(found[len(found)-1])
		}
	}
	t.Fatalf("there is no %s here: run make test-real", program)
	return ""
}

// starts waits for a server that starts, which no promise is about.
func starts(what string, is func() error) error { return within(time.Minute, "start "+what, is) }

// eventually waits for what a server does.
func eventually(what string, is func() error) error { return within(patience, what, is) }

func within(limit time.Duration, what string, is func() error) error {
	for late := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		err := is()
		if err == nil {
			return nil
		}
		if time.Now().After(late) {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}
