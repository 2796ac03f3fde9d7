//go:build real

package hooks

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// postgreSQL lets the superuser postgres in by its socket, but to template1, and shop by
// a password.
type postgreSQL struct {
	folder, programs string
	environment      []string
	port             string
	server           *exec.Cmd
}

func aPostgreSQL(t *testing.T) *postgreSQL {
	t.Helper()
	p := &postgreSQL{folder: t.TempDir(), port: aPort()}
	p.programs = installed(t, "postgres")
	p.environment = []string{"PATH=" + p.programs + ":/usr/bin:/bin"}
	password := filepath.Join(p.folder, "password")
	for _, err := range []error{os.WriteFile(password, []byte("hush\n"), 0o644), os.Mkdir(p.space(), 0o700), os.Chown(p.space(), p.uid(), -1), os.Chown(p.folder, p.uid(), -1), os.Chmod(p.folder, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if out, err := p.program("initdb", "--pgdata="+p.data(), "--waldir="+filepath.Join(p.folder, "wal"), "--username=shop", "--pwfile="+password, "--auth=scram-sha-256", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _ = p.kill() })
	const access = "local template1 postgres scram-sha-256\nlocal all postgres trust\nlocal all keeper trust\nlocal all shop scram-sha-256\nhost all shop 127.0.0.1/32 scram-sha-256\n"
	single := p.program("postgres", "--single", "-D", p.data(), "postgres")
	single.Stdin = strings.NewReader("CREATE ROLE postgres SUPERUSER LOGIN PASSWORD 'hush';\nALTER ROLE ALL SET idle_session_timeout = '300ms';\nCREATE ROLE keeper LOGIN IN ROLE pg_checkpoint;\nCREATE TABLESPACE space LOCATION '" + p.space() + "';\n")
	if out, err := single.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(p.data(), "pg_hba.conf"), []byte(access), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *postgreSQL) data() string { return filepath.Join(p.folder, "data") }

// space is where a tablespace is.
func (p *postgreSQL) space() string { return filepath.Join(p.folder, "space") }

// uid is whom the server runs as: it refuses to be root.
func (p *postgreSQL) uid() int {
	if os.Getuid() == 0 {
		return 65534
	}
	return os.Getuid()
}

// program is one of the server's. Who isn't root any more still enters root's folders.
func (p *postgreSQL) program(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(p.programs, name), args...)
	c.Env, c.Dir = slices.Concat(p.environment, []string{"LC_ALL=C.UTF-8"}), "/"
	if os.Getuid() == 0 {
		const overridesAccess = 1 // CAP_DAC_OVERRIDE
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(p.uid()), Gid: uint32(p.uid())}, AmbientCaps: []uintptr{overridesAccess}}
	}
	return c
}

func (p *postgreSQL) start(settings ...string) error {
	args := []string{"-D", p.data(), "-p", p.port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + p.folder}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	p.server = p.program("postgres", args...)
	if err := p.server.Start(); err != nil {
		return err
	}
	return starts("PostgreSQL", func() error { _, err := p.query("SELECT 1"); return err })
}

func (p *postgreSQL) kill() error {
	if p.server == nil {
		return nil
	}
	err := p.server.Process.Signal(syscall.SIGQUIT)
	_ = p.server.Wait()
	p.server = nil
	return err
}

func (p *postgreSQL) env() []string {
	return slices.Concat(p.environment, []string{"PGHOST=" + p.folder, "PGPORT=" + p.port})
}

func (p *postgreSQL) query(sql string) (string, error) {
	out, err := p.psql("-c", sql).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), err
}

func (p *postgreSQL) psql(args ...string) *exec.Cmd {
	c := exec.Command("psql", append([]string{"-XqAtw", "-h", p.folder, "-p", p.port, "-U", "postgres", "postgres"}, args...)...)
	c.Path, c.Env = filepath.Join(p.programs, "psql"), p.environment
	return c
}

// alone wants no session but the one that asks.
func (p *postgreSQL) alone() error {
	return eventually("the session has ended", func() error {
		others, err := p.query("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
		if err == nil && others != "0" {
			err = errors.New(others + " are left")
		}
		return err
	})
}

func (p *postgreSQL) trials() []trial {
	return []trial{
		{"testifies after a checkpoint, and outlasts what idle sessions have", p.testifies},
		{"tells where it has its files", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.uses(p.data(), filepath.Join(p.folder, "wal"), p.space()), h.testifies())
		}},
		{"tells where it isn't told that", func(hold holder) error {
			h := hold(forever, "POSTGRES_USER=keeper", "POSTGRES_DB=postgres")
			return errors.Join(h.uses("?", p.space()), h.testifies())
		}},
		{"takes user and password as the usual image names them", func(hold holder) error {
			h := hold(forever, "POSTGRES_USER=shop", "POSTGRES_PASSWORD=hush", "POSTGRES_DB=template1")
			return errors.Join(h.held(), p.isConnected("shop", "template1"), h.testifies())
		}},
		{"takes the password from a file", func(hold holder) error {
			h := hold(forever, "POSTGRES_USER=shop", "POSTGRES_PASSWORD_FILE="+filepath.Join(p.folder, "password"))
			return errors.Join(h.held(), p.isConnected("shop", "postgres"), h.testifies())
		}},
		{"takes the superuser that an image has beside its user", func(hold holder) error {
			h := hold(forever, "POSTGRES_USER=cashier", "POSTGRES_PASSWORD=loud", "POSTGRES_POSTGRES_PASSWORD=hush", "POSTGRES_DB=template1", "PGPORT=", "POSTGRESQL_PORT_NUMBER="+p.port)
			return errors.Join(h.held(), p.isConnected("postgres", "template1"), h.testifies())
		}},
		{"asks the server of its own pod, whatever host its clients are told", func(hold holder) error {
			h := hold(forever, "PGHOST=database.invalid", "POSTGRES_USER=shop", "POSTGRES_PASSWORD=hush")
			return errors.Join(h.held(), h.testifies())
		}},
		{"refuses a wrong password", func(hold holder) error {
			return hold(forever, "POSTGRES_USER=shop", "POSTGRES_PASSWORD=loud").refuses("password authentication failed")
		}},
		{"refuses a container without a client", func(hold holder) error {
			return hold(forever, "PATH="+p.folder).refuses("name the database's container")
		}},
		{"refuses a server that may not recover", func(hold holder) error {
			for _, setting := range []string{"fsync=off", "full_page_writes=off"} {
				if err := errors.Join(p.kill(), p.start(setting)); err != nil {
					return err
				}
				if err := hold(forever).refuses("may not start"); err != nil {
					return fmt.Errorf("%s: %w", setting, err)
				}
			}
			return errors.Join(p.kill(), p.start())
		}},
		{"is lost with the server", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.held(), p.kill(), p.start(), h.denies())
		}},
		{"ends at its limit", func(hold holder) error {
			h := hold(time.Second)
			return errors.Join(h.held(), h.lost(), p.alone())
		}},
		{"ends with who listens", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.held(), h.vanishes(), p.alone())
		}},
	}
}

func (p *postgreSQL) testifies(hold holder) error {
	before, err := p.query("SELECT pg_current_wal_insert_lsn()")
	h := hold(forever)
	if err := errors.Join(err, h.held()); err != nil {
		return err
	}
	if is, err := p.query("SELECT checkpoint_lsn >= '" + before + "' FROM pg_control_checkpoint()"); err != nil || is != "t" {
		return fmt.Errorf("no checkpoint since: %q, %w", is, err)
	}
	idle := p.psql()
	idle.Stdin = strings.NewReader("SELECT 1;\n\\! sleep 1\nSELECT 2;\n")
	if out, _ := idle.CombinedOutput(); !strings.Contains(string(out), "idle-session timeout") {
		return fmt.Errorf("a session that idles should have been ended meanwhile: %s", out)
	}
	return errors.Join(h.testifies(), p.alone())
}

// isConnected wants a session of a user in a database.
func (p *postgreSQL) isConnected(user, database string) error {
	return eventually("it is connected", func() error {
		n, err := p.query(fmt.Sprintf("SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND datname = '%s'", user, database))
		if err == nil && n != "1" {
			err = fmt.Errorf("%s sessions of %s in %s", n, user, database)
		}
		return err
	})
}
