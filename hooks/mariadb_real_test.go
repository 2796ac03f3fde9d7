//go:build real

package hooks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// mariaDB is a server of MariaDB or MySQL, with the superusers root and shop, whose
// password is hush, and open, who has none.
type mariaDB struct {
	recipe, folder string
	port           string
	environment    []string
	server         *exec.Cmd
}

const accounts = `CREATE USER IF NOT EXISTS shop@localhost IDENTIFIED BY 'hush';
CREATE USER IF NOT EXISTS open@localhost;
CREATE USER IF NOT EXISTS few@localhost;
GRANT RELOAD ON *.* TO few@localhost;
ALTER USER root@localhost IDENTIFIED BY 'hush';
GRANT ALL ON *.* TO shop@localhost;
GRANT ALL ON *.* TO open@localhost;
CREATE DATABASE IF NOT EXISTS trial;
CREATE TABLE IF NOT EXISTS trial.numbers (i INT);
CREATE TABLE IF NOT EXISTS trial.others (i INT);
INSERT INTO trial.numbers VALUES (0);
INSERT INTO trial.others VALUES (0);
`

func aMariaDB(t *testing.T, recipe string) *mariaDB {
	t.Helper()
	m := &mariaDB{recipe: recipe, folder: t.TempDir(), port: aPort()}
	m.environment = []string{"PATH=" + installed(t, m.daemon()) + ":/usr/bin:/bin", "HOME=" + m.folder}
	for name, content := range map[string]string{
		"accounts": accounts, "password": "hush\n",
		".my.cnf":      "[client]\nsocket=" + m.socket() + "\n",
		"tcp/.my.cnf":  "[client]\nprotocol=tcp\nhost=database.invalid\nport=" + m.port + "\n",
		"shop/.my.cnf": "[client]\nuser=shop\npassword=hush\nsocket=" + m.socket() + "\n",
	} {
		path := filepath.Join(m.folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	first := exec.Command("mariadb-install-db", "--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db", "--datadir="+m.data())
	if recipe == "mysql" {
		first = exec.Command("mysqld", "--no-defaults", "--user=root", "--initialize-insecure", "--datadir="+m.data())
	}
	first.Env = m.environment
	if out, err := first.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _ = m.kill() })
	return m
}

// daemon is the server's program, recipe that of its client, too.
func (m *mariaDB) daemon() string {
	return map[string]string{"mariadb": "mariadbd", "mysql": "mysqld"}[m.recipe]
}
func (m *mariaDB) data() string   { return filepath.Join(m.folder, "data") }
func (m *mariaDB) socket() string { return filepath.Join(m.folder, "socket") }

// start starts a server that has no patience with idle sessions, and takes what stands
// in double quotes for a name.
func (m *mariaDB) start(settings ...string) error {
	args := []string{"--no-defaults", "--user=root", "--datadir=" + m.data(), "--socket=" + m.socket(), "--bind-address=127.0.0.1", "--port=" + m.port, "--init-file=" + filepath.Join(m.folder, "accounts"), "--wait-timeout=1", "--sql-mode=ANSI"}
	m.server = exec.Command(m.daemon(), append(args, settings...)...)
	m.server.Env = m.environment
	if err := m.server.Start(); err != nil {
		return err
	}
	return starts(m.daemon(), func() error { _, err := m.query(insert); return err })
}

func (m *mariaDB) kill() error {
	if m.server == nil {
		return nil
	}
	err := m.server.Process.Kill()
	_ = m.server.Wait()
	m.server = nil
	return err
}

func (m *mariaDB) restart() error { return errors.Join(m.kill(), m.start()) }

func (m *mariaDB) env() []string {
	return append(slices.Clone(m.environment), "data=/somebody's/own/", strings.ToUpper(m.recipe)+"_ROOT_PASSWORD=hush")
}

// session is one of shop, in the database of the trials.
func (m *mariaDB) session(ctx context.Context, sql string) *exec.Cmd {
	c := exec.CommandContext(ctx, m.recipe, "--skip-reconnect", "-N", "-B", "trial")
	c.Env, c.Stdin = append(slices.Clone(m.environment), "HOME="+filepath.Join(m.folder, "shop")), strings.NewReader(sql)
	return c
}

func (m *mariaDB) query(sql string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := m.session(ctx, sql).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), err
}

const insert = "SET SESSION lock_wait_timeout = 1; INSERT INTO numbers VALUES (1);"

// writes wants a write to be done, blocked wants it to wait.
func (m *mariaDB) writes() error {
	return eventually("a write is done", func() error { _, err := m.query(insert); return err })
}

func (m *mariaDB) blocked() error {
	if said, err := m.query(insert); err == nil || !strings.Contains(said, "Lock wait timeout exceeded") {
		return fmt.Errorf("a write is answered by %q, %w", said, err)
	}
	return nil
}

// whileRuns does something while a statement runs that takes longer than any trial.
func (m *mariaDB) whileRuns(sql string, do func() error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	long := m.session(ctx, sql)
	if err := long.Start(); err != nil {
		return err
	}
	err := eventually("it runs for a second", func() error { return m.sessions("info = '"+sql+"' AND time > 0", 1) })
	err = errors.Join(err, do())
	_ = m.ends("info = '" + sql + "'") // it may have ended
	_ = long.Wait()
	return err
}

// sessions wants so many sessions of a kind.
func (m *mariaDB) sessions(kind string, wanted int) error {
	n, err := m.query("SELECT COUNT(*) FROM information_schema.processlist WHERE " + kind)
	if err == nil && n != fmt.Sprint(wanted) {
		err = fmt.Errorf("%s sessions where %s", n, kind)
	}
	return err
}

// ends kills the session of a kind.
func (m *mariaDB) ends(kind string) error {
	id, err := m.query("SELECT id FROM information_schema.processlist WHERE " + kind)
	if err == nil {
		_, err = m.query("KILL " + id)
	}
	return err
}

func (m *mariaDB) trials() []trial {
	root := strings.ToUpper(m.recipe) + "_ROOT_"
	none := root + "PASSWORD="
	return []trial{
		{"holds commits back, and outlasts what idle sessions have", m.testifies},
		{"tells where it has its files", m.tells},
		{"tells where it isn't told that", func(hold holder) error {
			h := hold(forever, none, root+"USER=few", "ALLOW_EMPTY_PASSWORD=yes")
			return errors.Join(h.uses(m.data(), "?"), h.testifies())
		}},
		{"takes the password from a file", func(hold holder) error {
			h := hold(forever, none, root+"PASSWORD_FILE="+filepath.Join(m.folder, "password"))
			return errors.Join(h.held(), h.testifies())
		}},
		{"takes the password of a replica", func(hold holder) error {
			return m.connects(hold, "root", none, strings.ToUpper(m.recipe)+"_MASTER_ROOT_PASSWORD=hush")
		}},
		{"takes the name of the superuser", func(hold holder) error { return m.connects(hold, "shop", root+"USER=shop") }},
		{"takes who has no password", func(hold holder) error {
			return m.connects(hold, "open", none, root+"USER=open", "ALLOW_EMPTY_PASSWORD=yes")
		}},
		{"takes what the client's own file says", func(hold holder) error {
			return m.connects(hold, "shop", none, "HOME="+filepath.Join(m.folder, "shop"))
		}},
		{"doesn't take the client's own file where the image says who", func(hold holder) error {
			return m.connects(hold, "root", "HOME="+filepath.Join(m.folder, "shop"))
		}},
		{"asks the server of its own pod, whatever host its clients are told", func(hold holder) error {
			h := hold(forever, "MYSQL_HOST=database.invalid")
			byNetwork := hold(forever, "HOME="+filepath.Join(m.folder, "tcp"))
			return errors.Join(h.held(), byNetwork.held(), m.sessions("host LIKE 'localhost:%'", 1), h.testifies(), byNetwork.testifies())
		}},
		{"refuses a wrong password", func(hold holder) error { return hold(forever, root+"PASSWORD=loud").refuses("Access denied") }},
		{"refuses a container without a client", func(hold holder) error {
			return hold(forever, "PATH="+m.folder).refuses("name the database's container")
		}},
		{"gives up behind a write that takes long", func(hold holder) error {
			return m.whileRuns("UPDATE others SET i = 1 WHERE SLEEP(600) = 0", func() error {
				return errors.Join(hold(forever).refuses(""), m.writes())
			})
		}},
		{"holds nothing up behind a read that takes long", m.reads},
		{"is lost with the server", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.held(), m.restart(), h.denies(), m.writes())
		}},
		{"is lost where its session is killed", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.held(), m.ends("user = 'root'"), m.writes(), h.denies())
		}},
		{"ends at its limit", func(hold holder) error {
			h := hold(2 * time.Second)
			return errors.Join(h.held(), h.lost(), m.writes())
		}},
		{"ends where its script is killed", func(hold holder) error {
			h := hold(forever)
			err := errors.Join(h.held(), m.blocked())
			h.end()
			return errors.Join(err, m.writes())
		}},
		{"ends with who listens", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.held(), h.vanishes(), m.writes())
		}},
	}
}

func (m *mariaDB) testifies(hold holder) error {
	h := hold(forever)
	if err := errors.Join(h.held(), m.blocked()); err != nil {
		return err
	}
	idle := m.session(context.Background(), "")
	idle.Stdin = nil
	in, err := idle.StdinPipe()
	if err := errors.Join(err, idle.Start()); err != nil {
		return err
	}
	const itself = "user = 'shop' AND id <> CONNECTION_ID()"
	err = eventually("a session idles", func() error { return m.sessions(itself, 1) })
	ended := eventually("a session that idles is ended", func() error { return m.sessions(itself, 0) })
	in.Close()
	_ = idle.Wait()
	return errors.Join(err, ended, h.testifies(), m.writes())
}

// tells wants it to tell of the folders of a table, of the binary log and of what else
// can be elsewhere, beside its data.
func (m *mariaDB) tells(hold holder) error {
	log, link, table := filepath.Join(m.folder, "log"), filepath.Join(m.folder, "link"), filepath.Join(m.folder, "table")
	for _, folder := range []string{log, table} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink(log, link); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	settings := []string{"--log-bin=" + filepath.Join(link, "log"), "--server-id=1"}
	uses := []string{m.data(), log, filepath.Join(table, "trial")} // each database has a folder of its own there
	if m.recipe == "mysql" {
		settings = append(settings, "--innodb-directories="+table, "--innodb-doublewrite-dir="+table)
		uses = append(uses, table)
	}
	if err := errors.Join(m.kill(), m.start(settings...)); err != nil {
		return err
	}
	_, err := m.query("CREATE TABLE apart (i INT) DATA DIRECTORY '" + table + "'")
	h := hold(forever)
	err = errors.Join(err, h.uses(uses...), h.testifies())
	_, dropped := m.query("DROP TABLE IF EXISTS apart")
	return errors.Join(err, dropped, m.restart())
}

// connects wants to hold as a user.
func (m *mariaDB) connects(hold holder, user string, more ...string) error {
	h := hold(forever, more...)
	return errors.Join(h.held(), m.sessions("user = '"+user+"' AND id <> CONNECTION_ID()", 1), h.testifies())
}

// reads wants MariaDB to be held all the same, as its lock doesn't wait for a read, and
// MySQL once the read has ended.
func (m *mariaDB) reads(hold holder) error {
	held := func() error {
		h := hold(forever)
		return errors.Join(h.held(), m.blocked(), h.testifies(), m.writes())
	}
	if m.recipe == "mariadb" {
		return m.whileRuns("SELECT SLEEP(600) FROM numbers", held)
	}
	refused := m.whileRuns("SELECT SLEEP(600) FROM numbers", func() error {
		return errors.Join(hold(forever).refuses("queries under way take long"), m.writes())
	})
	return errors.Join(refused, m.whileRuns("SELECT SLEEP(2) FROM (SELECT 1) one", held))
}
