package framework

import corev1 "k8s.io/api/core/v1"

// Redis is a database server with its files on the named claim.
func Redis(namespace, name, claim string) Application {
	return Application{
		Namespace: namespace, Name: name, Replicas: 1, Claims: []string{claim},
		Image:  fromEnvironment("LULL_TEST_REDIS_IMAGE", "lull.dev/redis:test"),
		Folder: "/data",
		Env:    map[string]string{"REDIS_PASSWORD": "quiet"},

		Started: UntilStarted(redis.asks("PING")...),
	}
}

// RedisIn is the database in a pod of Redis.
func (c *Cluster) RedisIn(pod *corev1.Pod) Database { return Database{redis, c, pod} }

// redisClient is the database's own client. The password doesn't stand on its
// command line.
const redisClient = `REDISCLI_AUTH=$REDIS_PASSWORD exec redis-cli`

var redis = list(redisClient)

// list is what Redis and Valkey understand. The number of a row is that of an element
// of a list, as the server counts it.
func list(client string) dialect {
	return dialect{
		session: client,
		query:   "set -f; " + client + " -e $0", // the words of a command
		begin:   "DEL ledger",
		add:     `RPUSH ledger "%[1]d %[2]s %[3]s"`,
		rows:    "LRANGE ledger 0 -1",
	}
}
