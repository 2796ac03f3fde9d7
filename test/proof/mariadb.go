package main

import (
	"context"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/framework"
)

// mariadb has its redo log apart from its data.
func mariadb() engine {
	return engine{
		name: "MariaDB", recipe: "mariadb", layouts: withALog, holdsCommits: true,
		copyPause: "25ms", // of files it has some two hundred
		server: func(namespace, name, data, log string) (framework.Application, []client.Object) {
			db, settings := framework.MariaDBWithLog(namespace, name, data, log, mariadbSettings)
			return db, []client.Object{settings}
		},
		in:      (*framework.Cluster).MariaDBIn,
		prepare: prepareMariaDB,
		busy:    "REPLACE INTO busy VALUES (1)", calm: "DELETE FROM busy",
		churn:  mariadbAsRoot + ` --batch shop -e "CALL churn()"`,
		start:  "mariadbd",
		serves: mariadbAsRoot + ` -e "SELECT 1"`,
		stop:   "MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb-admin --user=root shutdown", filesAfter: mariadbFiles,
		check:  checkMariaDB,
		damage: regexp.MustCompile(`(?i)corrupt|in the future|\[ERROR\]`).MatchString,
	}
}

const mariadbAsRoot = `MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb --user=root`

// With them a server has some thousand changed pages in memory under load, and
// writes them all within seconds once the load stands still: its checkpoint then
// moves past what was changed before the freeze.
const mariadbSettings = `innodb_log_file_size=32M
innodb_buffer_pool_size=96M
innodb_io_capacity=2000
innodb_io_capacity_max=4000
innodb_max_dirty_pages_pct_lwm=0.001
`

// mariadbLoad is what churn does until busy is empty: it changes pages all over a
// table that is larger than what the checkpoint may lag behind.
const mariadbLoad = `CREATE TABLE busy (n INT PRIMARY KEY) ENGINE=InnoDB;
CREATE TABLE churn (id INT PRIMARY KEY, word CHAR(36), big VARCHAR(2000), KEY (word)) ENGINE=InnoDB;
INSERT INTO churn SELECT seq, UUID(), REPEAT(UUID(), 40) FROM seq_1_to_12000;
DELIMITER //
CREATE PROCEDURE churn() BEGIN
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;
  WHILE EXISTS (SELECT 1 FROM busy) DO
    SET @i = 1 + FLOOR(RAND() * 12000);
    UPDATE churn SET word = UUID(), big = REPEAT(UUID(), 20 + FLOOR(RAND() * 30)) WHERE id BETWEEN @i AND @i + 40;
    REPLACE INTO churn VALUES (@i, UUID(), REPEAT(UUID(), 40));
  END WHILE;
END//
`

// mariadbFiles checks the files of a server that has stopped. The pages 64 to 191 of
// ibdata1 are the doublewrite buffer: copies of pages, from which a recovery repairs
// what was half written, and which nothing else reads.
const mariadbFiles = `cd /var/lib/mysql
bad() { echo "innochecksum: $1"; exit 1; }
innochecksum --end-page=63 ibdata1 >/dev/null && innochecksum --start-page=192 ibdata1 >/dev/null || bad ibdata1
for file in */*.ibd undo0*; do
  if [ -e "$file" ]; then innochecksum "$file" >/dev/null || bad "$file"; fi
done`

func prepareMariaDB(ctx context.Context, db framework.Database) (string, error) {
	if _, err := db.Query(ctx, mariadbLoad); err != nil {
		return "", err
	}
	version, err := db.Query(ctx, "SELECT VERSION()")
	version, _, _ = strings.Cut(version, "-")
	return version, err
}

func checkMariaDB(ctx context.Context, c *framework.Cluster, pod *corev1.Pod) ([]string, error) {
	checked, err := c.MariaDBIn(pod).Query(ctx, "CHECK TABLE churn EXTENDED")
	if err != nil {
		return ofCopy("churn can't be checked", err)
	}
	if !strings.HasSuffix(checked, "\tstatus\tOK") {
		return []string{"CHECK TABLE churn: " + checked}, nil
	}
	return nil, nil
}
