package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// mariadb has its redo log apart from its data.
type mariadb struct{}

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

// loaders is how many sessions run churn beside the one that writes the ledger.
const loaders = 3

// bootScript starts the server, and stays when it ends.
const bootScript = `"$(command -v docker-entrypoint.sh || command -v entrypoint)" mariadbd
echo $? >/tmp/ended
exec sleep infinity`

// serves waits until the server answers. It fails where it has ended.
const serves = `until MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb --user=root -e 'SELECT 1' >/dev/null 2>&1; do
  if [ -e /tmp/ended ]; then exit 1; fi
  sleep 0.2
done`

// stopped stops the server and checks its files. The pages 64 to 191 of ibdata1 are
// the doublewrite buffer: copies of pages, from which a recovery repairs what
// was half written, and which nothing else reads.
const stopped = `MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb-admin --user=root shutdown || exit 1
until [ -e /tmp/ended ]; do sleep 0.1; done
if [ "$(cat /tmp/ended)" != 0 ]; then echo "the server ended with $(cat /tmp/ended)"; exit 1; fi
cd /var/lib/mysql
bad() { echo "innochecksum: $1"; exit 1; }
innochecksum --end-page=63 ibdata1 >/dev/null && innochecksum --start-page=192 ibdata1 >/dev/null || bad ibdata1
for file in */*.ibd undo0*; do
  if [ -e "$file" ]; then innochecksum "$file" >/dev/null || bad "$file"; fi
done`

// mariadbDamage is what a server's log has where something was torn.
var mariadbDamage = regexp.MustCompile(`(?i)corrupt|in the future|\[ERROR\]`)

func (mariadb) name() string { return "MariaDB" }

func (mariadb) server(namespace, name, data, log string) (framework.Application, []client.Object) {
	db, settings := framework.MariaDBWithLog(namespace, name, data, log, mariadbSettings)
	db.Annotations = map[string]string{v1alpha1.AnnotationQuiesce: "mariadb"}
	return db, []client.Object{settings}
}

func (mariadb) copy(of framework.Application) framework.Application {
	of.Kind, of.Started, of.Annotations = v1alpha1.KindPod, nil, nil
	of.Command = []string{"/bin/sh", "-c", bootScript}
	layout := of.Change
	of.Change = func(o client.Object) {
		layout(o)
		framework.PodSpec(o).TerminationGracePeriodSeconds = ptr.To(int64(0))
	}
	return of
}

func (mariadb) prepare(ctx context.Context, c *framework.Cluster, pod *corev1.Pod) (string, error) {
	if _, err := c.Sh(ctx, pod, "command -v innochecksum"); err != nil {
		return "", fmt.Errorf("the image has no innochecksum: %w", err)
	}
	if _, err := c.Query(ctx, pod, mariadbLoad); err != nil {
		return "", err
	}
	version, err := c.Query(ctx, pod, "SELECT VERSION()")
	version, _, _ = strings.Cut(version, "-")
	return version, err
}

func (mariadb) load(ctx context.Context, c *framework.Cluster, pod *corev1.Pod) (*load, error) {
	if _, err := c.Query(ctx, pod, "DROP TABLE IF EXISTS ledger; REPLACE INTO busy VALUES (1)"); err != nil {
		return nil, err
	}
	writer, err := c.StartWriter(ctx, pod)
	if err != nil {
		return nil, err
	}
	var loading sync.WaitGroup
	failures := make([]error, loaders)
	for i := range loaders {
		loading.Go(func() { _, failures[i] = c.Query(ctx, pod, "CALL churn()") })
	}
	return &load{ledger: writer, stop: func(ctx context.Context) error {
		writer.Stop()
		_, err := c.Query(ctx, pod, "DELETE FROM busy")
		loading.Wait()
		return errors.Join(err, errors.Join(failures...))
	}}, nil
}

func (mariadb) examine(ctx context.Context, c *framework.Cluster, pod *corev1.Pod, frozen framework.Pause) ([]string, error) {
	if _, err := c.Sh(ctx, pod, serves); err != nil {
		said, failed := mariadbComplaints(ctx, c, pod)
		faults, err := ofCopy("the server doesn't start", err)
		return append(faults, said...), errors.Join(err, failed)
	}
	faults, err := mariadbTables(ctx, c, pod, frozen)
	if err != nil {
		return nil, err
	}
	if said, err := c.Sh(ctx, pod, stopped); err != nil {
		more, err := ofCopy("it doesn't stop whole: "+said, err)
		if err != nil {
			return nil, err
		}
		faults = append(faults, more...)
	}
	said, err := mariadbComplaints(ctx, c, pod)
	return append(faults, said...), err
}

// mariadbTables reads and checks the tables that were loaded.
func mariadbTables(ctx context.Context, c *framework.Cluster, pod *corev1.Pod, frozen framework.Pause) ([]string, error) {
	ledger, err := c.ReadLedger(ctx, pod)
	if err != nil {
		return ofCopy("the ledger can't be read", err)
	}
	faults := ledgerFaults(ledger, frozen)
	checked, err := c.Query(ctx, pod, "CHECK TABLE churn EXTENDED")
	if err != nil {
		more, err := ofCopy("churn can't be checked", err)
		return append(faults, more...), err
	}
	if !strings.HasSuffix(checked, "\tstatus\tOK") {
		faults = append(faults, "CHECK TABLE churn: "+checked)
	}
	return faults, nil
}

// mariadbComplaints are the lines of damage in the server's log.
func mariadbComplaints(ctx context.Context, c *framework.Cluster, pod *corev1.Pod) (lines []string, err error) {
	log, err := c.LogOf(ctx, pod)
	for line := range strings.Lines(log) {
		if mariadbDamage.MatchString(line) {
			lines = append(lines, "its log: "+strings.TrimSpace(line))
		}
	}
	return lines, err
}
