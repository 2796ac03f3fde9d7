package framework

import corev1 "k8s.io/api/core/v1"

// MySQLWithLog is what MariaDBWithLog is, of MySQL.
func MySQLWithLog(namespace, name, data, log, settings string) (Application, *corev1.ConfigMap) {
	db, config := MariaDBWithLog(namespace, name, data, log, settings)
	db.Image = "lull.dev/mysql:9.7"
	db.Env = map[string]string{"MYSQL_ROOT_PASSWORD": "quiet", "MYSQL_DATABASE": "shop"}
	db.Started = UntilStarted(mysql.asks("SELECT 1")...)
	return db, config
}

// MySQLIn is the database in a pod of MySQL.
func (c *Cluster) MySQLIn(pod *corev1.Pod) Database { return Database{mysql, c, pod} }

var mysql = innodb(`MYSQL_PWD=$MYSQL_ROOT_PASSWORD exec mysql --user=root -N -B --unbuffered shop`)
