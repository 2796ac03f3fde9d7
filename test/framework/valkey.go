package framework

import corev1 "k8s.io/api/core/v1"

// Valkey is what Redis is, of Valkey.
func Valkey(namespace, name, claim string) Application {
	db := Redis(namespace, name, claim)
	db.Image = "lull.dev/valkey:8"
	db.Env = map[string]string{"VALKEY_PASSWORD": "quiet"}
	db.Started = UntilStarted(valkey.asks("PING")...)
	return db
}

// ValkeyIn is the database in a pod of Valkey.
func (c *Cluster) ValkeyIn(pod *corev1.Pod) Database { return Database{valkey, c, pod} }

var valkey = list(`REDISCLI_AUTH=$VALKEY_PASSWORD exec valkey-cli`)
