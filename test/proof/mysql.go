package main

import (
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/framework"
)

func mysql() engine {
	e := innodb(mysqlAsRoot, (*framework.Cluster).MySQLIn)
	e.name, e.recipe = "MySQL 9.7", "mysql"
	e.server = func(namespace, name, data, log string) (framework.Application, []client.Object) {
		db, settings := framework.MySQLWithLog(namespace, name, data, log, "innodb_redo_log_capacity=32M\n"+innodbSettings)
		return db, []client.Object{settings}
	}
	e.start = "mysqld"
	e.stop = "MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysqladmin --user=root shutdown"
	e.filesAfter = innodbFiles("innochecksum ibdata1") // its doublewrite buffer has files of its own
	return e
}

const mysqlAsRoot = `MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --user=root`
