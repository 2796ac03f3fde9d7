package main

import (
	"cmp"
	"context"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/framework"
)

// postgresql is a version, of that image, or where it is empty the framework's. It has
// pg_wal apart from its data. No commit waits while it is held.
func postgresql(version, image string) engine {
	return engine{
		name: "PostgreSQL " + version, recipe: "postgresql", layouts: withALog,
		copyPause: "4ms", // of files it has some thousand
		server: func(namespace, name, data, log string) (framework.Application, []client.Object) {
			db := framework.PostgreSQL(namespace, name, data, log)
			db.Image = cmp.Or(image, db.Image)
			db.Env["POSTGRES_INITDB_ARGS"] += " --wal-segsize=1" // MiB
			return db, nil
		},
		in:      (*framework.Cluster).PostgreSQLIn,
		prepare: preparePostgreSQL,
		busy:    postgresqlBusy, calm: "DELETE FROM busy",
		churn:  postgresqlShop + ` --command="CALL churn()"`,
		start:  postgresqlStart,
		serves: postgresqlShop + ` --command="SELECT 1"`,
		stop:   `kill -INT "$(head -n 1 "$PGDATA/postmaster.pid")"`, filesAfter: `pg_checksums --check --pgdata="$PGDATA" 2>&1 >/dev/null`,
		check:  checkPostgreSQL,
		damage: postgresqlDamage,
	}
}

const postgresqlShop = `psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=postgres --dbname=shop`

// With them a server under load writes a checkpoint every second or two, uses the
// files of its log again that are older than the one before, and the room of rows
// that churn has changed.
const postgresqlStart = "postgres -c shared_buffers=64MB -c max_wal_size=16MB -c min_wal_size=2MB -c checkpoint_completion_target=0.3" +
	" -c autovacuum_naptime=2s -c autovacuum_vacuum_scale_factor=0.05 -c autovacuum_vacuum_cost_delay=0"

// postgresqlLoad is what churn does until busy is empty: it changes pages all over a
// table that is larger than what is written between two checkpoints.
const postgresqlLoad = `CREATE EXTENSION amcheck;
CREATE TABLE busy (n int);
CREATE TABLE churn (id int PRIMARY KEY, word char(32), big text);
CREATE INDEX ON churn (word);
CREATE PROCEDURE churn() LANGUAGE plpgsql AS $$
DECLARE first int;
BEGIN
  WHILE EXISTS (SELECT FROM busy) LOOP
    first := 1 + random() * 12000;
    BEGIN
      UPDATE churn SET word = md5(random()::text), big = repeat(md5(random()::text), 20 + (random() * 25)::int) WHERE id BETWEEN first AND first + 20;
    EXCEPTION WHEN deadlock_detected THEN NULL;
    END;
    COMMIT;
    PERFORM pg_sleep(0.02);
  END LOOP;
END $$`

// postgresqlBusy fills the table anew, as each load leaves it full of dead rows.
const postgresqlBusy = `TRUNCATE churn;
INSERT INTO churn SELECT i, md5(random()::text), repeat(md5(random()::text), 40) FROM generate_series(1, 12000) i;
INSERT INTO busy VALUES (1)`

func preparePostgreSQL(ctx context.Context, db framework.Database) (string, error) {
	if _, err := db.Query(ctx, postgresqlLoad); err != nil {
		return "", err
	}
	version, err := db.Query(ctx, "SHOW server_version")
	version, _, _ = strings.Cut(version, " ")
	return version, err
}

// checkPostgreSQL has all tables and indexes checked, each row of a table against its
// indexes too.
func checkPostgreSQL(ctx context.Context, c *framework.Cluster, pod *corev1.Pod) ([]string, error) {
	said, err := c.Sh(ctx, pod, "pg_amcheck --username=postgres --database=shop --heapallindexed 2>&1")
	lines := strings.Split(said, "\n")
	return ofCopy("pg_amcheck: "+strings.Join(lines[:min(4, len(lines))], "\n"), err)
}

// A recovery reads the log up to where it is no log any more, and says so as of
// something that is no error. Who asks before it has ended is told that by one.
var (
	postgresqlErrors = regexp.MustCompile(`\b(PANIC|FATAL|ERROR|WARNING): `)
	postgresqlStarts = regexp.MustCompile(`FATAL: +the database system is (starting up|not yet accepting connections|shutting down)`)
)

func postgresqlDamage(line string) bool {
	return postgresqlErrors.MatchString(line) && !postgresqlStarts.MatchString(line)
}
