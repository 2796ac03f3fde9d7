package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/framework"
)

// redisLike is Redis or Valkey.
type redisLike struct {
	// name is what it is called, and word its recipe, and how the names of its programs
	// and variables begin.
	name, word string
	server     func(namespace, name, claim string) framework.Application
	in         func(c *framework.Cluster, pod *corev1.Pod) framework.Database
}

var (
	redis  = redisLike{"Redis 7", "redis", framework.Redis, (*framework.Cluster).RedisIn}
	valkey = redisLike{"Valkey 8", "valkey", framework.Valkey, (*framework.Cluster).ValkeyIn}
)

// appendOnly keeps a log of writes, and saves beside it. What it has acknowledged is on
// the disk. Its log is rewritten again and again, and each rewrite, like each save,
// takes as long as that of a large database: a pause of writes doesn't hold them up.
func (r redisLike) appendOnly() engine {
	e := r.that("append-only file", "--appendonly yes --appendfsync always --save '5 1' --auto-aof-rewrite-percentage 1 --auto-aof-rewrite-min-size 1mb --hz 2 --rdb-key-save-delay 200")
	e.filesBefore += r.word + "-check-aof appendonlydir/appendonly.aof.manifest"
	return e
}

// saves keeps saves alone.
func (r redisLike) saves() engine {
	e := r.that("saves", "--appendonly no --save '5 1'")
	e.layouts = []layout{oneVolume, fileByFile}
	e.layouts[1].whole = "a save is one file, which is put in its place at once"
	return e
}

func (r redisLike) that(keeps, settings string) engine {
	asks := fmt.Sprintf("REDISCLI_AUTH=$%s_PASSWORD %s-cli", strings.ToUpper(r.word), r.word)
	return engine{
		name: r.name + ", " + keeps, recipe: r.word, layouts: onOneVolume, holdsCommits: true,
		copyPause: "1500ms", // of files it has four
		server: func(namespace, name, data, _ string) (framework.Application, []client.Object) {
			return r.server(namespace, name, data), nil
		},
		in:      r.in,
		prepare: r.version,
		busy:    "SET busy yes", calm: "DEL busy",
		churn:       fmt.Sprintf(redisChurn, asks),
		start:       r.word + "-server " + settings,
		serves:      asks + " -e PING",
		filesBefore: fmt.Sprintf(redisFiles, r.word),
		stop:        asks + " -e SHUTDOWN NOSAVE",
		damage:      regexp.MustCompile(`(?i)bad file format|short read|truncat|corrupt|fatal|unrecoverable|unable to|missing|error`).MatchString,
	}
}

// redisFiles checks the files as they were copied: a server that starts writes them
// anew.
const redisFiles = `cd /data || exit 1
if [ -e dump.rdb ]; then %s-check-rdb dump.rdb || exit 1; fi
`

// redisChurn changes values of ten thousand, until busy is gone.
const redisChurn = `script="if redis.call('EXISTS', 'busy') == 0 then return 'calm' end
math.randomseed(redis.call('TIME')[2])
for i = 1, 50 do redis.call('SET', 'churn:' .. math.random(10000), string.rep(tostring(math.random()), 20)) end
return 'more'"
while said=$(%s EVAL "$script" 0); [ "$said" = more ]; do :; done
if [ "$said" != calm ]; then echo "$said" >&2; exit 1; fi`

// version needs nothing else for its load.
func (r redisLike) version(ctx context.Context, db framework.Database) (string, error) {
	said, err := db.Query(ctx, "INFO server")
	for line := range strings.Lines(said) {
		if version, ok := strings.CutPrefix(line, r.word+"_version:"); ok {
			return strings.TrimSpace(version), err
		}
	}
	return "", errors.Join(errors.New("the server tells no version"), err)
}
