// Command books is the application that the fault suite backs up. It writes the
// same record into two ledgers on two volumes, in turn, unless it is quieted. It
// starts no process for a record: a node that runs many books has no time for
// that.
//
// Shell scripts in its container are its other side:
//
//   - /tmp/pen is a link to the number of the process that may write, as a mutex.
//   - /tmp/held.N quiets it as long as the process N lives.
//   - /first/quiet quiets it while it is there.
//   - /tmp/last has the last record's number, and when it was written.
//   - /first/pauses has the times of more than half a second without a record.
//   - /tmp/unready is there if it was started with /first/poison on its volume.
//
// Times are hundredths of seconds since the machine started, from /proc/uptime.
package main

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	first, second = "/first/ledger", "/second/ledger"
	pen           = "/tmp/pen"
	pace          = 100 * time.Millisecond
	// longPause is worth a note, in hundredths of seconds.
	longPause = 50
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		os.Exit(0)
	}()
	go reap()
	log.Fatal(keep())
}

// reap buries the processes that this one, the first of its container, inherits:
// those of a command that was killed. One that isn't buried passes for alive, and
// would hold the pen for ever.
func reap() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	for range ended {
		for pid, err := 1, error(nil); pid > 0 && err == nil; {
			pid, err = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		}
	}
}

// keep writes records until one can't be written.
func keep() error {
	n, err := begin()
	if err != nil {
		return err
	}
	last, err := uptime()
	for ; err == nil; time.Sleep(pace) {
		lock()
		if !quieted() {
			n++
			last, err = write(n, last)
		}
		err = errors.Join(err, os.Remove(pen))
	}
	return err
}

// begin brings both ledgers to the same record, and returns its number.
func begin() (n int, err error) {
	err = errors.Join(absent(os.Remove("/first/quiet")), absent(os.Remove("/tmp/unready")))
	if _, poisoned := os.Stat("/first/poison"); poisoned == nil {
		err = errors.Join(err, os.WriteFile("/tmp/unready", nil, 0o644))
	}
	n, firstErr := lastOf(first)
	m, secondErr := lastOf(second)
	if err = errors.Join(err, firstErr, secondErr); err == nil && m < n {
		err = appendTo(second, record(n))
	}
	return n, err
}

// write writes a record, and returns when.
func write(n, last int) (now int, err error) {
	for _, ledger := range []string{first, second} {
		if err := appendTo(ledger, record(n)); err != nil {
			return 0, err
		}
	}
	if now, err = uptime(); err != nil {
		return 0, err
	}
	if now-last >= longPause {
		err = appendTo("/first/pauses", fmt.Sprintf("%d %d\n", last, now))
	}
	return now, errors.Join(err,
		os.WriteFile("/tmp/last.new", fmt.Appendf(nil, "%d %d\n", n, now), 0o644),
		os.Rename("/tmp/last.new", "/tmp/last"))
}

func record(n int) string {
	return fmt.Sprintf("%d %x\n", n, md5.Sum([]byte(strconv.Itoa(n))))
}

// lock takes the pen. That of an owner who was killed with it is taken away.
func lock() {
	for os.Symlink(strconv.Itoa(os.Getpid()), pen) != nil {
		if owner, err := os.Readlink(pen); err == nil && !alive(owner) {
			os.Remove(pen)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func quieted() bool {
	if _, err := os.Stat("/first/quiet"); err == nil {
		return true
	}
	held, _ := filepath.Glob("/tmp/held.*")
	for _, session := range held {
		if alive(strings.TrimPrefix(session, "/tmp/held.")) {
			return true
		}
		os.Remove(session)
	}
	return false
}

func alive(pid string) bool {
	n, err := strconv.Atoi(pid)
	return err == nil && syscall.Kill(n, 0) == nil
}

// lastOf is the number of a ledger's last record, 0 where it has none.
func lastOf(ledger string) (int, error) {
	text, err := os.ReadFile(ledger)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	number, _, _ := strings.Cut(string(lines[len(lines)-1]), " ")
	if number == "" {
		return 0, absent(err)
	}
	return strconv.Atoi(number)
}

// appendTo has the line on the disk when it returns.
func appendTo(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Sync(), f.Close())
}

func uptime() (hundredths int, err error) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	up, _, _ := strings.Cut(string(text), " ")
	return strconv.Atoi(strings.Replace(up, ".", "", 1))
}

// absent takes it for no error that something isn't there.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
