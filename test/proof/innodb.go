package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/test/framework"
)

// innodb is what MariaDB and MySQL have in common, which have their redo log apart from
// their data. asRoot is the database's client.
func innodb(asRoot string, in func(*framework.Cluster, *corev1.Pod) framework.Database) engine {
	return engine{
		layouts: withALog, holdsCommits: true,
		copyPause: "25ms", // of files it has some two hundred
		in:        in,
		prepare:   prepareInnoDB,
		busy:      "REPLACE INTO busy VALUES (1)", calm: "DELETE FROM busy",
		churn:  asRoot + ` --batch shop -e "SET SESSION sql_log_bin = 0; CALL churn()"`, // a log of it would fill the volume
		serves: asRoot + ` -e "SELECT 1"`,
		check: func(ctx context.Context, c *framework.Cluster, pod *corev1.Pod) ([]string, error) {
			return checkChurn(ctx, in(c, pod))
		},
		damage: regexp.MustCompile(`(?i)corrupt|in the future|\[ERROR\]`).MatchString,
	}
}

// With them a server has some thousand changed pages in memory under load, and
// writes them all within seconds once the load stands still: its checkpoint then
// moves past what was changed before the freeze.
const innodbSettings = `innodb_buffer_pool_size=96M
innodb_io_capacity=2000
innodb_io_capacity_max=4000
innodb_max_dirty_pages_pct_lwm=0.001
`

// innodbLoad is what churn does until busy is empty: it changes pages all over a
// table that is larger than what the checkpoint may lag behind. The table is in a folder
// that the slow copy has early: what is written after that is in no file of the copy.
const innodbLoad = `CREATE DATABASE a;
CREATE TABLE busy (n INT PRIMARY KEY) ENGINE=InnoDB;
CREATE TABLE a.churn (id INT PRIMARY KEY, word CHAR(36), big VARCHAR(2000), KEY (word)) ENGINE=InnoDB;
SET SESSION sql_log_bin = 0;
INSERT INTO a.churn SELECT n, UUID(), REPEAT(UUID(), 40) FROM (
  SELECT ROW_NUMBER() OVER () AS n FROM information_schema.collations a, information_schema.collations b LIMIT 12000
) numbers;
DELIMITER //
CREATE PROCEDURE churn() BEGIN
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;
  WHILE EXISTS (SELECT 1 FROM busy) DO
    SET @i = 1 + FLOOR(RAND() * 12000);
    UPDATE a.churn SET word = UUID(), big = REPEAT(UUID(), 20 + FLOOR(RAND() * 30)) WHERE id BETWEEN @i AND @i + 40;
    REPLACE INTO a.churn VALUES (@i, UUID(), REPEAT(UUID(), 40));
  END WHILE;
END//
`

// innodbFiles checks the files of a server that has stopped, by a command for the
// system's own.
func innodbFiles(system string) string {
	return fmt.Sprintf(`cd /var/lib/mysql
bad() { echo "innochecksum: $1"; exit 1; }
%s >/dev/null || bad ibdata1
for file in *.ibd */*.ibd undo0* undo_0*; do
  if [ -e "$file" ]; then innochecksum "$file" >/dev/null || bad "$file"; fi
done`, system)
}

func prepareInnoDB(ctx context.Context, db framework.Database) (string, error) {
	if _, err := db.Query(ctx, innodbLoad); err != nil {
		return "", err
	}
	version, err := db.Query(ctx, "SELECT VERSION()")
	version, _, _ = strings.Cut(version, "-")
	return version, err
}

func checkChurn(ctx context.Context, db framework.Database) ([]string, error) {
	checked, err := db.Query(ctx, "CHECK TABLE a.churn EXTENDED")
	if err != nil {
		return ofCopy("churn can't be checked", err)
	}
	if !strings.HasSuffix(checked, "\tstatus\tOK") {
		return []string{"CHECK TABLE churn: " + checked}, nil
	}
	return nil, nil
}
