//go:build real

package hooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// mongoDB stands in for a server: no package of the real one is to be had. Its client is
// testdata/mongosh.js, which keeps its state in a file.
type mongoDB struct {
	folder, marker string
	// fewer is a folder with the programs of a container that has no client.
	fewer, thaw string
	// state is the server, nil where none runs.
	state *mongoServer
}

type mongoServer struct {
	ProcessID string `json:"processId"`
	// Locks counts those that have locked, of whom Waiting is about to while the server
	// is Busy.
	Locks   int  `json:"locks"`
	Waiting int  `json:"waiting"`
	Busy    bool `json:"busy"`
	// Msg is that of a mongos.
	Msg          string `json:"msg,omitempty"`
	User         string `json:"user"`
	Password     string `json:"password"`
	MayNotLook   bool   `json:"mayNotLook"`
	MayNotLock   bool   `json:"mayNotLock"`
	MayNotUnlock bool   `json:"mayNotUnlock"`
	// LosesReply: its connection breaks when it has locked.
	LosesReply bool `json:"losesReply"`
}

func aMongoDB(t *testing.T) *mongoDB {
	t.Helper()
	m := &mongoDB{folder: t.TempDir(), marker: filepath.Join("/dev/shm", "lull-test-"+aPort())}
	script, err := filepath.Abs("testdata/mongosh.js")
	if err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"bin/mongosh": fmt.Sprintf("#!/bin/sh\nexec %s %s \"$@\"\n", node, script),
		"user":        "admin\n", "password": "hush\n",
	} {
		path := filepath.Join(m.folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	// Its journal is elsewhere.
	for _, err := range []error{os.Mkdir(filepath.Join(m.folder, "data"), 0o755), os.Mkdir(filepath.Join(m.folder, "log"), 0o755), os.Symlink("../log", filepath.Join(m.folder, "data", "journal"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if m.fewer, err = without(m.folder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(m.marker) })
	return m
}

func (m *mongoDB) start(...string) error {
	_ = os.Remove(m.marker)
	return m.startAs(mongoServer{User: "admin", Password: "hush"})
}

// startAs starts another server.
func (m *mongoDB) startAs(server mongoServer) error {
	server.ProcessID = aPort()
	m.state = &server
	return m.save()
}

func (m *mongoDB) save() error {
	content, err := json.Marshal(m.state)
	if err != nil {
		return err
	}
	at := filepath.Join(m.folder, "server.json")
	return errors.Join(os.WriteFile(at+".test", content, 0o644), os.Rename(at+".test", at))
}

func (m *mongoDB) read() mongoServer {
	var server mongoServer
	content, err := os.ReadFile(filepath.Join(m.folder, "server.json"))
	if err == nil {
		err = json.Unmarshal(content, &server)
	}
	if err != nil {
		return mongoServer{Locks: -1}
	}
	return server
}

// change changes the server that runs.
func (m *mongoDB) change(what func(*mongoServer)) error {
	server := m.read()
	what(&server)
	m.state = &server
	return m.save()
}

func (m *mongoDB) kill() error { return os.RemoveAll(filepath.Join(m.folder, "server.json")) }

func (m *mongoDB) env() []string {
	return []string{"PATH=" + filepath.Join(m.folder, "bin") + ":" + os.Getenv("PATH"), "STANDIN=" + m.folder, "MONGODB_PORT_NUMBER=27999", "MONGO_INITDB_ROOT_USERNAME=admin", "MONGO_INITDB_ROOT_PASSWORD=hush"}
}

func (m *mongoDB) thawedBy(script string) { m.thaw = script }

func (m *mongoDB) place(command []string) []string { return append(command, m.marker) }

// recovered has what a killed hold left locked unlocked.
func (m *mongoDB) recovered(env ...string) error {
	h := begin([]string{"/bin/sh", "-c", m.thaw, m.marker}, slices.Concat(m.env(), env))
	defer h.end()
	_, err := h.said()
	return errors.Join(err, h.err)
}

// locked wants so many to hold the lock.
func (m *mongoDB) locked(n int) error {
	if locks := m.read().Locks; locks != n {
		return fmt.Errorf("locked by %d, not by %d", locks, n)
	}
	return nil
}

func (m *mongoDB) marked() error {
	content, err := os.ReadFile(m.marker)
	if err == nil && string(content) != m.read().ProcessID {
		err = fmt.Errorf("the marker has %q", content)
	}
	return err
}

func (m *mongoDB) unmarked() error {
	if _, err := os.Stat(m.marker); err == nil {
		return errors.New("the marker is there")
	}
	return nil
}

// refused wants a hold of a server to be refused, and nothing to be locked.
func (m *mongoDB) refused(hold holder, server mongoServer, why string) error {
	return errors.Join(m.startAs(server), hold(forever).refuses(why), m.locked(0), m.unmarked(), m.recovered(), m.start())
}

// none are no credentials in the environment.
var none = []string{"MONGO_INITDB_ROOT_USERNAME=", "MONGO_INITDB_ROOT_PASSWORD="}

// knows wants a hold, and who comes after one, to find the password there.
func (m *mongoDB) knows(hold holder, server mongoServer, env ...string) error {
	env = append(slices.Clone(none), env...)
	err := m.startAs(server)
	h := hold(forever, env...)
	err = errors.Join(err, h.held(), m.locked(1))
	h.end()
	return errors.Join(err, m.recovered(env...), m.locked(0), m.start())
}

func (m *mongoDB) trials() []trial {
	known, root := mongoServer{User: "admin", Password: "hush"}, mongoServer{User: "root", Password: "hush"}
	with := func(what func(*mongoServer)) mongoServer { server := known; what(&server); return server }
	return []trial{
		{"locks until its input ends", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.held(), m.locked(1), m.marked(), h.testifies(), m.locked(0), m.unmarked())
		}},
		{"tells where it has its files", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.uses(filepath.Join(m.folder, "data"), filepath.Join(m.folder, "log")), h.testifies())
		}},
		{"holds where it isn't told that", func(hold holder) error {
			err := m.change(func(s *mongoServer) { s.MayNotLook = true })
			h := hold(forever)
			return errors.Join(err, h.uses("?"), h.testifies(), m.start())
		}},
		{"tells the names of files that aren't in its container", func(hold holder) error {
			journal := filepath.Join(m.folder, "data", "journal")
			err := os.Remove(journal)
			h := hold(forever)
			return errors.Join(err, h.uses(filepath.Join(m.folder, "data"), journal), h.testifies(), os.Symlink("../log", journal))
		}},
		{"refuses a wrong password", func(hold holder) error {
			return m.refused(hold, with(func(s *mongoServer) { s.Password = "loud" }), "Authentication failed")
		}},
		{"refuses a mongos", func(hold holder) error {
			return m.refused(hold, with(func(s *mongoServer) { s.Msg = "isdbgrid" }), "this is a mongos")
		}},
		{"refuses where it may not lock", func(hold holder) error {
			return m.refused(hold, with(func(s *mongoServer) { s.MayNotLock = true }), "not authorized")
		}},
		{"refuses a container without a client", func(hold holder) error {
			return errors.Join(hold(forever, "PATH="+m.fewer).refuses("mongosh isn't in this container"), m.unmarked())
		}},
		{"refuses without a server", func(hold holder) error {
			return errors.Join(m.kill(), hold(forever).refuses("ECONNREFUSED"), m.unmarked(), m.start())
		}},
		{"leaves another's lock alone", func(hold holder) error {
			err := m.change(func(s *mongoServer) { s.Locks = 1 })
			return errors.Join(err, hold(forever).refuses("is locked already"), m.locked(1), m.unmarked(), m.recovered(), m.locked(1), m.start())
		}},
		{"is lost by another's unlock", func(hold holder) error {
			h := hold(forever)
			err := errors.Join(h.held(), m.change(func(s *mongoServer) { s.Locks = 0 }), h.denies(), m.recovered())
			return errors.Join(err, m.locked(0), m.unmarked())
		}},
		{"is lost with its server, and leaves the next alone", func(hold holder) error {
			h := hold(forever)
			err := errors.Join(h.held(), m.startAs(with(func(s *mongoServer) { s.Locks = 1 })), h.denies())
			return errors.Join(err, m.locked(1), m.unmarked(), m.start())
		}},
		{"says so where it can't unlock", func(hold holder) error {
			h := hold(forever)
			err := errors.Join(h.held(), m.change(func(s *mongoServer) { s.MayNotUnlock = true }), h.denies(), m.marked())
			if m.recovered() == nil {
				err = errors.Join(err, errors.New("whoever comes after it doesn't say so"))
			}
			return errors.Join(err, m.start())
		}},
		{"unlocks a little before its limit", func(hold holder) error {
			h := hold(4 * time.Second)
			return errors.Join(h.held(), h.lost(), m.locked(0), m.unmarked())
		}},
		{"ends with who listens", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.held(), h.vanishes(), m.locked(0), m.unmarked())
		}},
		{"is unlocked after it was killed", func(hold holder) error {
			h := hold(forever)
			err := h.held()
			h.end()
			again := errors.Join(m.locked(1), hold(forever).refuses("is locked already"), m.locked(1), m.marked())
			return errors.Join(err, again, m.recovered(), m.locked(0), m.unmarked(), m.recovered())
		}},
		{"leaves another's lock alone that came after it", func(hold holder) error {
			h := hold(forever)
			err := errors.Join(h.held(), m.change(func(s *mongoServer) { s.Locks = 2 }))
			h.end()
			return errors.Join(err, m.recovered(), m.locked(1), m.start())
		}},
		{"is unlocked where nobody knows whether it locked", func(hold holder) error {
			err := m.startAs(with(func(s *mongoServer) { s.LosesReply = true }))
			return errors.Join(err, hold(forever).refuses("closed"), m.marked(), m.recovered(), m.locked(0), m.unmarked(), m.start())
		}},
		{"leaves the next server alone after it was killed", func(hold holder) error {
			h := hold(forever)
			err := h.held()
			h.end()
			next := with(func(s *mongoServer) { s.Locks = 1 })
			return errors.Join(err, m.startAs(next), m.recovered(), m.locked(1), m.unmarked(), m.start())
		}},
		{"is unlocked where it comes to lock after it was killed", func(hold holder) error {
			err := m.startAs(with(func(s *mongoServer) { s.Busy = true }))
			h := hold(forever)
			waits := eventually("it waits", func() error {
				if m.read().Waiting != 1 {
					return fmt.Errorf("%+v", m.read())
				}
				return nil
			})
			h.end()
			comes := make(chan error, 1)
			go func() { comes <- m.recovered() }()
			select {
			case early := <-comes:
				return errors.Join(err, waits, early, errors.New("nobody waits for the lock"), m.start())
			case <-time.After(700 * time.Millisecond):
			}
			err = errors.Join(err, waits, m.change(func(s *mongoServer) { s.Busy, s.Waiting, s.Locks = false, 0, 1 }))
			return errors.Join(err, <-comes, m.locked(0), m.unmarked(), m.start())
		}},
		{"takes the password from files", func(hold holder) error {
			return m.knows(hold, known, "MONGO_INITDB_ROOT_USERNAME_FILE="+filepath.Join(m.folder, "user"), "MONGO_INITDB_ROOT_PASSWORD_FILE="+filepath.Join(m.folder, "password"))
		}},
		{"takes Bitnami's password", func(hold holder) error { return m.knows(hold, root, "MONGODB_ROOT_PASSWORD=hush") }},
		{"takes Percona's password", func(hold holder) error {
			return m.knows(hold, known, "MONGODB_CLUSTER_ADMIN_USER=admin", "MONGODB_CLUSTER_ADMIN_PASSWORD=hush")
		}},
		{"needs no password", func(hold holder) error { return m.knows(hold, mongoServer{}) }},
	}
}
