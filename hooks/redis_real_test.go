//go:build real

package hooks

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// redis is a server of Redis or Valkey with a password.
type redis struct {
	recipe, folder, programs string
	environment              []string
	port                     string
	server                   *exec.Cmd
	// tls are the flags of a client, where the server answers by TLS alone.
	tls []string
	// fileSize is what a file of it may have, in blocks of 512 bytes, or unlimited.
	fileSize string
}

func aRedis(t *testing.T, recipe string) *redis {
	t.Helper()
	r := &redis{recipe: recipe, folder: t.TempDir(), port: aPort(), fileSize: "unlimited"}
	r.programs = installed(t, recipe+"-server")
	r.environment = []string{"PATH=" + r.programs + ":/bin", "SYNCED=" + filepath.Join(r.folder, "synced")}
	const heard = "#!/bin/sh\necho \"$@\" >>\"$SYNCED\"\nPATH=${PATH#*:} exec sync \"$@\"\n"
	certificate, key := aCertificate(t)
	for name, content := range map[string]string{"password": "hush\n", "synced": "", "bin/sync": heard, "certificate": certificate, "key": key} {
		path := filepath.Join(r.folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = r.kill() })
	return r
}

// aCertificate is one, and its key, which has signed itself and is good for all.
func aCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.CreateCertificate(rand.Reader, of, of, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

// saving has the server keep saves alone, logging a log of all writes.
var (
	saving  = []string{"--save", "3600 1", "--appendonly", "no"}
	logging = []string{"--save", "", "--appendonly", "yes", "--appendfsync", "everysec"}
)

// start starts it, with saves alone where no setting says more, on empty files.
func (r *redis) start(settings ...string) error {
	if err := os.RemoveAll(r.data()); err != nil {
		return err
	}
	return r.startAgain(settings...)
}

func (r *redis) startAgain(settings ...string) error {
	if settings == nil {
		settings = saving
	}
	var err error
	r.server, err = r.serve(r.data(), r.port, settings)
	return err
}

func (r *redis) data() string { return r.file("data") }

func (r *redis) file(name string) string { return filepath.Join(r.folder, name) }

// serve starts a server on a folder, and returns once it answers.
func (r *redis) serve(folder, port string, settings []string) (*exec.Cmd, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	asked := port
	if r.tls != nil {
		settings = slices.Concat(settings, []string{"--tls-port", port, "--tls-ca-cert-file", r.file("certificate"), "--tls-cert-file", r.file("certificate"), "--tls-key-file", r.file("key")})
		port = "0"
	}
	args := slices.Concat([]string{"-c", `trap "" XFSZ; ulimit -f "$0"; exec "$@"`, r.fileSize, filepath.Join(r.programs, r.recipe+"-server"), "--dir", folder, "--port", port, "--bind", "127.0.0.1", "--requirepass", "hush", "--enable-debug-command", "local"}, settings)
	server := exec.Command("/bin/sh", args...)
	server.Env = r.environment
	if err := server.Start(); err != nil {
		return nil, err
	}
	return server, starts(r.recipe, func() error {
		if said, err := r.ask(asked, "PING"); said != "PONG" {
			return fmt.Errorf("%s, %w", said, err)
		}
		return nil
	})
}

func (r *redis) kill() error {
	if r.server == nil {
		return nil
	}
	err := r.server.Process.Kill()
	_ = r.server.Wait()
	r.server = nil
	return err
}

func (r *redis) restart(settings ...string) error { return errors.Join(r.kill(), r.start(settings...)) }

func (r *redis) env() []string {
	env := slices.Concat(r.environment, []string{"tls=somebody's own", r.named("PASSWORD=hush"), r.named("PORT_NUMBER=" + r.port)})
	env[0] = strings.Replace(env[0], "PATH=", "PATH="+filepath.Join(r.folder, "bin")+":", 1)
	return env
}

// named is a variable of the usual image.
func (r *redis) named(variable string) string { return strings.ToUpper(r.recipe) + "_" + variable }

// ask asks a server, and waits no longer than a second.
func (r *redis) ask(port string, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(r.programs, r.recipe+"-cli"), slices.Concat([]string{"-e", "-p", port}, r.tls, command)...)
	c.Env = slices.Concat(r.environment, []string{"REDISCLI_AUTH=hush"})
	out, err := c.CombinedOutput()
	return strings.TrimSpace(string(out)), errors.Join(err, ctx.Err())
}

// writes wants a write to be done, blocked wants it to wait.
func (r *redis) writes() error {
	return eventually("a write is done", func() error {
		if said, err := r.ask(r.port, "INCR", "rows"); err != nil || strings.Trim(said, "0123456789") != "" {
			return fmt.Errorf("%q, %w", said, err)
		}
		return nil
	})
}

func (r *redis) blocked() error {
	if said, err := r.ask(r.port, "INCR", "rows"); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("a write is answered by %q, %w", said, err)
	}
	return nil
}

func (r *redis) trials() []trial {
	return []trial{
		{"has all writes in a copy of its save", func(hold holder) error { return r.copies(hold, saving) }},
		{"takes the password from a file", func(hold holder) error {
			h := hold(forever, r.named("PASSWORD="), r.named("PASSWORD_FILE=")+filepath.Join(r.folder, "password"))
			return errors.Join(h.held(), h.testifies())
		}},
		{"asks at the port of a chart, which isn't a service's address", func(hold holder) error {
			h := hold(forever, r.named("PORT_NUMBER="), "REDIS_PORT=tcp://10.96.0.1:6379", r.named("PORT=")+r.port)
			return errors.Join(h.held(), h.testifies())
		}},
		{"asks by TLS, and shows a certificate", func(hold holder) error {
			r.tls = []string{"--tls", "--cacert", r.file("certificate"), "--cert", r.file("certificate"), "--key", r.file("key")}
			err := r.restart()
			h := hold(forever, r.named("TLS_ENABLED=yes"), r.named("TLS_PORT=")+r.port, r.named("PORT_NUMBER=1"),
				r.named("TLS_CA_FILE=")+r.file("certificate"), r.named("TLS_CERT_FILE=")+r.file("certificate"), r.named("TLS_KEY_FILE=")+r.file("key"))
			err = errors.Join(err, h.held(), r.blocked(), h.testifies(), r.writes())
			r.tls = nil
			return errors.Join(err, r.restart())
		}},
		{"refuses a wrong password", func(hold holder) error {
			return errors.Join(hold(forever, r.named("PASSWORD=loud")).refuses("WRONGPASS"), r.writes())
		}},
		{"refuses a container without a client", func(hold holder) error {
			return hold(forever, "PATH="+r.folder).refuses("name the database's container")
		}},
		{"refuses a server that keeps nothing", func(hold holder) error {
			return errors.Join(r.restart("--save", ""), hold(forever).refuses("there is nothing to back up"), r.restart())
		}},
		{"doesn't hold while the log can't be written", func(hold holder) error {
			r.fileSize = "16"
			err := r.restart(logging...)
			_, written := r.ask(r.port, "SET", "row", strings.Repeat("x", 16<<10))
			h := hold(forever)
			told := h.waits("the append-only file is being written")
			h.in.Close()
			r.fileSize = "unlimited"
			return errors.Join(err, written, told, h.refuses("waiting"), r.restart())
		}},
		{"refuses a save that fails", func(hold holder) error {
			err := errors.Join(r.restart(), os.Mkdir(filepath.Join(r.data(), "dump.rdb"), 0o755))
			return errors.Join(err, hold(forever).refuses("the save failed"), r.restart())
		}},
		{"doesn't hold what it has no witness of", func(hold holder) error {
			_, err := r.ask(r.port, "ACL", "SETUSER", "default", "-eval")
			h := hold(forever)
			told := h.waits("the pause begins")
			h.in.Close()
			return errors.Join(err, told, h.refuses("the pause begins"), r.writes(), r.restart())
		}},
		{"is lost by another's unpause", func(hold holder) error {
			h := hold(forever)
			err := h.held()
			_, unpaused := r.ask(r.port, "CLIENT", "UNPAUSE")
			return errors.Join(err, unpaused, r.writes(), h.denies())
		}},
		{"is lost with the server", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.held(), r.restart(), r.writes(), h.denies())
		}},
		{"ends at its limit", func(hold holder) error {
			h := hold(2 * time.Second)
			return errors.Join(h.held(), h.lost(), r.writes())
		}},
		{"expires where its script is killed", func(hold holder) error {
			h := hold(3 * time.Second)
			err := h.held()
			h.end()
			return errors.Join(err, r.blocked(), r.writes())
		}},
		{"ends with who listens", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.held(), h.vanishes(), r.writes())
		}},
		{"ends where nobody hears that it holds", func(hold holder) error {
			h := hold(forever)
			h.out.Close()
			_, err := h.said()
			return errors.Join(err, r.writes())
		}},
		{"ends where it isn't waited for any more", func(hold holder) error {
			err := r.restart(append([]string{"--rdb-key-save-delay", "100000"}, saving...)...)
			_, filled := r.ask(r.port, "DEBUG", "POPULATE", "1000")
			h := hold(forever)
			saves := eventually("it saves", func() error { return r.info("rdb_bgsave_in_progress:1") })
			return errors.Join(err, filled, saves, r.blocked(), h.denies(), r.writes(), r.restart())
		}},
		{"has all writes in a copy of its log", func(hold holder) error { return r.copies(hold, logging) }},
		{"waits for a save that is under way, and holds nothing meanwhile", func(hold holder) error {
			return r.waitsFor(hold, saving, "BGSAVE", "rdb_bgsave_in_progress")
		}},
		{"waits for a rewrite that is under way, and holds nothing meanwhile", func(hold holder) error {
			return r.waitsFor(hold, logging, "BGREWRITEAOF", "aof_rewrite_in_progress")
		}},
	}
}

// copies wants all that was acknowledged in a copy that was made while it is held.
func (r *redis) copies(hold holder, settings []string) error {
	if err := r.restart(settings...); err != nil {
		return err
	}
	if said, err := r.ask(r.port, "SET", "row", "acknowledged"); said != "OK" {
		return fmt.Errorf("%q, %w", said, err)
	}
	if err := os.Truncate(filepath.Join(r.folder, "synced"), 0); err != nil {
		return err
	}
	h := hold(forever)
	if err := errors.Join(h.uses(r.data()), r.blocked()); err != nil {
		return err
	}
	folder, err := os.MkdirTemp(r.folder, "copy")
	if err != nil {
		return err
	}
	if out, err := exec.Command("cp", "-a", r.data()+"/.", folder).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := errors.Join(h.testifies(), r.writes(), r.synced()); err != nil {
		return err
	}
	port := aPort()
	copied, err := r.serve(folder, port, settings)
	if err != nil {
		return err
	}
	defer func() { _ = copied.Process.Kill(); _ = copied.Wait() }()
	if said, err := r.ask(port, "GET", "row"); said != "acknowledged" {
		return fmt.Errorf("the copy has %q, %w", said, err)
	}
	return nil
}

// synced wants the files to have been sent to the disk, which no copy of a folder shows.
func (r *redis) synced() error {
	said, err := os.ReadFile(filepath.Join(r.folder, "synced"))
	if err == nil && !strings.Contains(string(said), r.data()) {
		err = fmt.Errorf("only %q was sent to the disk", said)
	}
	return err
}

func (r *redis) info(line string) error {
	said, err := r.ask(r.port, "INFO", "persistence")
	if err == nil && !strings.Contains(said, line) {
		err = errors.New("no " + line)
	}
	return err
}

// waitsFor begins while the server is at something slow.
func (r *redis) waitsFor(hold holder, settings []string, command, until string) error {
	err := r.restart(append([]string{"--rdb-key-save-delay", "1000"}, settings...)...)
	_, filled := r.ask(r.port, "DEBUG", "POPULATE", "1000")
	_, begun := r.ask(r.port, command)
	if err := errors.Join(err, filled, begun, r.info(until+":1")); err != nil {
		return err
	}
	h := hold(forever)
	told := h.waits("waiting: a ")
	if err := errors.Join(told, r.writes(), h.held(), r.info(until+":0"), h.testifies()); err != nil {
		return err
	}
	if n := strings.Count(h.stderr.last(), "waiting: a "); n != 1 {
		return fmt.Errorf("it says %d times what it waits for", n)
	}
	return r.restart()
}
