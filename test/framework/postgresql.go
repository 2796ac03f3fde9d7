package framework

import corev1 "k8s.io/api/core/v1"

// Where a PostgreSQL has its data and its log.
const (
	postgresqlData = "/var/lib/postgresql/data"
	postgresqlLog  = "/wal"
)

// PostgreSQL is a database server with its data on one claim and its log (pg_wal) on
// another, or in another folder of the same. Its pages have sums.
func PostgreSQL(namespace, name, data, log string) Application {
	db := Application{
		Namespace: namespace, Name: name, Replicas: 1,
		Image: fromEnvironment("LULL_TEST_POSTGRES_IMAGE", "lull.dev/postgres:test"),
		Env: map[string]string{
			"POSTGRES_PASSWORD": "quiet", "POSTGRES_DB": "shop", "PGDATA": postgresqlData,
			"POSTGRES_INITDB_WALDIR": postgresqlLog, "POSTGRES_INITDB_ARGS": "--data-checksums",
		},
		Started: UntilStarted(postgresql.asks("SELECT 1")...),
	}
	return db.Apart(Folder{data, "data", postgresqlData}, Folder{log, "log", postgresqlLog})
}

// PostgreSQLIn is the database in a pod of PostgreSQL.
func (c *Cluster) PostgreSQLIn(pod *corev1.Pod) Database { return Database{postgresql, c, pod} }

// postgresqlClient is the database's own client, as the superuser, by the socket.
const postgresqlClient = `exec psql --no-psqlrc --no-password --quiet --tuples-only --no-align --field-separator=" " --set=ON_ERROR_STOP=1 --username=postgres --dbname=shop`

var postgresql = dialect{
	session: postgresqlClient,
	query:   postgresqlClient + ` --command="$0"`,
	begin:   "DROP TABLE IF EXISTS ledger; CREATE TABLE ledger (n int PRIMARY KEY, content text NOT NULL, sum char(32) NOT NULL)",
	add:     "INSERT INTO ledger VALUES (%[1]d, '%[2]s', '%[3]s') RETURNING n;",
	rows:    "SELECT n, content, sum FROM ledger",
}
