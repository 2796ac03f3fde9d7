package main

import (
	"cmp"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/framework"
)

// mariadb is a version, of that image, or where it is empty the framework's.
func mariadb(version, image string) engine {
	e := innodb(mariadbAsRoot, (*framework.Cluster).MariaDBIn)
	e.name, e.recipe = "MariaDB "+version, "mariadb"
	e.server = func(namespace, name, data, log string) (framework.Application, []client.Object) {
		db, settings := framework.MariaDBWithLog(namespace, name, data, log, "innodb_log_file_size=32M\n"+innodbSettings)
		db.Image = cmp.Or(image, db.Image)
		return db, []client.Object{settings}
	}
	e.start = "mariadbd"
	e.stop = "MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb-admin --user=root shutdown"
	e.filesAfter = innodbFiles(mariadbSystem)
	return e
}

const mariadbAsRoot = `MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb --user=root`

// mariadbSystem checks ibdata1. Its pages 64 to 191 are the doublewrite buffer: copies
// of pages, from which a recovery repairs what was half written, and which nothing else
// reads.
const mariadbSystem = `{ innochecksum --end-page=63 ibdata1 && innochecksum --start-page=192 ibdata1; }`
