package main

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/framework"
)

// redis keeps a log of writes, and saves beside it. What it has acknowledged is on
// the disk. Its log is rewritten again and again, and each rewrite, like each save,
// takes as long as that of a large database: a pause of writes doesn't hold them up.
func redis() engine {
	e := redisThat("Redis, append-only file", "--appendonly yes --appendfsync always --save '5 1' --auto-aof-rewrite-percentage 1 --auto-aof-rewrite-min-size 1mb --hz 2 --rdb-key-save-delay 200")
	e.filesBefore = redisFiles + "redis-check-aof appendonlydir/appendonly.aof.manifest"
	e.copyPause = "1500ms" // of files it has four
	return e
}

// redisSaves keeps saves alone.
func redisSaves() engine {
	e := redisThat("Redis, saves", "--appendonly no --save '5 1'")
	e.filesBefore = redisFiles
	e.copyPause = "1500ms"
	e.layouts = []layout{oneVolume, fileByFile}
	e.layouts[1].whole = "a save is one file, which is put in its place at once"
	return e
}

func redisThat(name, settings string) engine {
	return engine{
		name: name, recipe: "redis", layouts: onOneVolume, holdsCommits: true,
		server: func(namespace, name, data, _ string) (framework.Application, []client.Object) {
			return framework.Redis(namespace, name, data), nil
		},
		in:      (*framework.Cluster).RedisIn,
		prepare: prepareRedis,
		busy:    "SET busy yes", calm: "DEL busy",
		churn:  redisChurn,
		start:  "redis-server " + settings,
		serves: redisClient + " -e PING",
		stop:   redisClient + " -e SHUTDOWN NOSAVE",
		damage: regexp.MustCompile(`(?i)bad file format|short read|truncat|corrupt|fatal|unrecoverable|unable to|missing|error`).MatchString,
	}
}

const redisClient = `REDISCLI_AUTH=$REDIS_PASSWORD redis-cli`

// redisFiles checks the files as they were copied: a server that starts writes them
// anew.
const redisFiles = `cd /data || exit 1
if [ -e dump.rdb ]; then redis-check-rdb dump.rdb || exit 1; fi
`

// redisChurn changes values of ten thousand, until busy is gone.
const redisChurn = `script="if redis.call('EXISTS', 'busy') == 0 then return 'calm' end
math.randomseed(redis.call('TIME')[2])
for i = 1, 50 do redis.call('SET', 'churn:' .. math.random(10000), string.rep(tostring(math.random()), 20)) end
return 'more'"
while said=$(` + redisClient + ` EVAL "$script" 0); [ "$said" = more ]; do :; done
if [ "$said" != calm ]; then echo "$said" >&2; exit 1; fi`

func prepareRedis(ctx context.Context, db framework.Database) (string, error) {
	said, err := db.Query(ctx, "INFO server")
	for line := range strings.Lines(said) {
		if version, ok := strings.CutPrefix(line, "redis_version:"); ok {
			return strings.TrimSpace(version), err
		}
	}
	return "", errors.Join(errors.New("the server tells no version"), err)
}
