// Command flaky passes HTTP requests on to a server, and gets in their way. It is
// called with the address to listen at and the server's URL.
//
// What it does to requests is the content of the file /tmp/fault, which is read at
// each of them: "KIND COUNT WORDS". It befalls the next COUNT requests whose method
// and path, as "POST /shop/data/12ab", begin with WORDS; COUNT goes down with each.
// Without that file, and with COUNT 0, all is passed on.
//
//	error  it is answered 500
//	cut    the connection is closed after some of the request and of the answer
//	slow   it is passed on a second late
//	hold   it is passed on once the file doesn't say hold of such requests any more
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	file = "/tmp/fault"
	// some is how many bytes of a body pass before its connection is cut.
	some = 512
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: flaky ADDRESS URL")
	}
	to, err := url.Parse(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(os.Args[1], &proxy{to: httputil.NewSingleHostReverseProxy(to)}))
}

type proxy struct {
	to http.Handler
	// mu guards the file, whose counts are written back.
	mu sync.Mutex
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := r.Method + " " + r.URL.Path
	kind, err := p.next(request)
	if err != nil {
		log.Print(err)
	}
	switch kind {
	case "error":
		http.Error(w, "not today", http.StatusInternalServerError)
		return
	case "cut":
		_, _ = io.CopyN(io.Discard, r.Body, some) // one that is shorter is cut all the same
		if r.Method != http.MethodGet {
			panic(http.ErrAbortHandler)
		}
		w = &cutWriter{ResponseWriter: w, left: some}
	case "slow":
		time.Sleep(time.Second)
	case "hold":
		for p.holds(request) && r.Context().Err() == nil {
			time.Sleep(50 * time.Millisecond)
		}
	}
	p.to.ServeHTTP(w, r)
}

// next is what befalls a request, and counts it.
func (p *proxy) next(request string) (kind string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kind, count, words := read()
	if count == 0 || !strings.HasPrefix(request, words) {
		return "", nil
	}
	return kind, write(fmt.Sprintf("%s %d %s", kind, count-1, words))
}

// holds is true as long as the file says so of such requests.
func (p *proxy) holds(request string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	kind, _, words := read()
	return kind == "hold" && strings.HasPrefix(request, words)
}

// read is what the file says, nothing where it can't be read.
func read() (kind string, count int, words string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", 0, ""
	}
	line := strings.TrimSpace(string(text))
	if _, err := fmt.Sscan(line, &kind, &count); err != nil {
		return "", 0, ""
	}
	if parts := strings.SplitN(line, " ", 3); len(parts) == 3 {
		words = parts[2]
	}
	return kind, count, words
}

// write never leaves a part of a line to be read.
func write(line string) error {
	return errors.Join(os.WriteFile(file+".new", []byte(line), 0o644), os.Rename(file+".new", file))
}

// cutWriter closes the connection once a body is longer than that.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (c *cutWriter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b[:min(len(b), c.left)])
	if c.left -= n; err == nil && c.left == 0 {
		_ = http.NewResponseController(c.ResponseWriter).Flush() // it is cut anyway
		panic(http.ErrAbortHandler)
	}
	return n, err
}
