package hooks_test

import (
	"context"
	"crypto/sha1" //nolint:gosec // the handshake's own, and no secret
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/lull-dev/lull/hooks"
)

// front stands where the API server does, or a proxy before it: it answers each
// upgrade as it is told to, and notes them.
type front struct {
	*httptest.Server
	upgrades []string
}

func aFront(t *testing.T, webSocket, spdy http.HandlerFunc) *front {
	t.Helper()
	f := &front{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrade := r.Header.Get("Upgrade")
		f.upgrades = append(f.upgrades, r.Method+" "+upgrade)
		if upgrade == "websocket" {
			webSocket(w, r)
			return
		}
		spdy(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *front) exec(ctx context.Context, t *testing.T) error {
	t.Helper()
	executor, err := hooks.NewExecutor(&rest.Config{Host: f.URL})
	if err != nil {
		t.Fatal(err)
	}
	return executor.Exec(ctx, hooks.Container{Namespace: "shop", Pod: "db-0", Name: "db"}, []string{"freeze"},
		hooks.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
}

func answers(code int, words string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, words, code) }
}

// isStatus answers as the API server does.
func isStatus(code int, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": %d, "message": %q}`, code, message)
	}
}

// taken upgrades to WebSocket, without a protocol's name, and does what comes then.
func taken(then func(net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		const handshake = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + handshake))
		cutOff(func(conn net.Conn) {
			fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
				base64.StdEncoding.EncodeToString(sum[:]))
			then(conn)
		})(w, r)
	}
}

// cutOff closes the connection after it has done something with it.
func cutOff(after func(net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		after(conn)
		_ = conn.Close()
	}
}

// A command is asked for by SPDY only where the server itself refused WebSocket. What
// may have begun is never begun again.
func TestOnlyARefusedUpgradeIsFollowedByAnother(t *testing.T) {
	nothing := func(net.Conn) {}
	for name, c := range map[string]struct {
		webSocket http.HandlerFunc
		again     bool
		says      string
	}{
		"400":                       {webSocket: answers(400, ""), again: true},
		"401":                       {webSocket: answers(401, ""), again: true},
		"403":                       {webSocket: answers(403, ""), again: true},
		"403 of the API server":     {webSocket: isStatus(403, "no"), again: true},
		"404":                       {webSocket: answers(404, ""), again: true},
		"405":                       {webSocket: answers(405, ""), again: true},
		"426":                       {webSocket: answers(426, ""), again: true},
		"a redirection":             {webSocket: http.RedirectHandler("/login", http.StatusFound).ServeHTTP, again: true},
		"a page":                    {webSocket: answers(200, "<html>"), again: true},
		"501":                       {webSocket: answers(501, ""), again: true},
		"500":                       {webSocket: answers(500, "lost it"), says: "500 Internal Server Error"},
		"500 of the API server":     {webSocket: isStatus(500, "a webhook is down"), says: "a webhook is down"},
		"502":                       {webSocket: answers(502, "lost it"), says: "502 Bad Gateway"},
		"503":                       {webSocket: answers(503, "lost it"), says: "503 Service Unavailable"},
		"504":                       {webSocket: answers(504, "lost it"), says: "504 Gateway Timeout"},
		"cut at once":               {webSocket: cutOff(nothing), says: "EOF"},
		"cut after the upgrade":     {webSocket: taken(nothing), says: "invalid protocol"},
		"an upgrade without a name": {webSocket: taken(func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }), says: "invalid protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			f := aFront(t, c.webSocket, answers(403, "nor that"))
			err := f.exec(t.Context(), t)
			asked := []string{"GET websocket"}
			if c.again {
				asked, c.says = append(asked, "POST SPDY/3.1"), "nor that"
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("should say %q: %v", c.says, err)
			}
			if !slices.Equal(f.upgrades, asked) {
				t.Errorf("asked for %v, and should for %v", f.upgrades, asked)
			}
		})
	}
}

// A server that hangs takes connections, and answers nothing. What it was asked for by
// WebSocket it is to forget.
func TestAServerThatHangsHoldsNobody(t *testing.T) {
	for _, hangs := range []string{"websocket", "SPDY/3.1"} {
		t.Run(hangs, func(t *testing.T) {
			gone := make(chan struct{})
			upgrade := func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Upgrade") != hangs {
					answers(403, "")(w, r)
					return
				}
				cutOff(func(conn net.Conn) {
					_, _ = io.Copy(io.Discard, conn) // until its client goes
					close(gone)
				})(w, r)
			}
			f := aFront(t, upgrade, upgrade)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, cancel)
			ended := make(chan error, 1)
			go func() { ended <- f.exec(ctx, t) }()
			late := time.After(10 * time.Second)
			select {
			case err := <-ended:
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			case <-late:
				t.Error("it waits on")
			}
			if hangs == "websocket" {
				select {
				case <-gone:
				case <-late:
					t.Error("it stays connected")
				}
			}
			f.CloseClientConnections()
		})
	}
}

// Where both are refused the error says what to write, or how each was.
func TestWhatIsRefusedTwiceSaysWhatToWrite(t *testing.T) {
	lacking := func(verb string) http.HandlerFunc {
		return isStatus(403, `pods "db-0" is forbidden: User "lull" cannot `+verb+` resource "pods/exec" in API group "" in the namespace "shop"`)
	}
	const role = `User "lull" cannot create resource "pods/exec" in API group "" in the namespace "shop": ` +
		`give that user a role with {apiGroups: [""], resources: [pods/exec], verbs: [create, get]}`
	for name, c := range map[string]struct {
		webSocket, spdy http.HandlerFunc
		says            []string
	}{
		"a right":                       {lacking("get"), lacking("create"), []string{role}},
		"a right, and another protocol": {answers(403, ""), lacking("create"), []string{role}},
		"a proxy that lets none through": {answers(403, "no upgrades"), answers(400, "no SPDY either"),
			[]string{"SPDY: unable to upgrade connection: no SPDY either", "before that WebSocket", "403 Forbidden", "no upgrades"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := aFront(t, c.webSocket, c.spdy).exec(t.Context(), t)
			for _, words := range c.says {
				if err == nil || !strings.Contains(err.Error(), words) {
					t.Errorf("should say %q: %v", words, err)
				}
			}
		})
	}
}
