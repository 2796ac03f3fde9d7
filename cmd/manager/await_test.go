package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

func TestAManagerWaitsForTheAPIServer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil { // it isn't there
		t.Fatal(err)
	}
	config := &rest.Config{Host: "http://" + address}
	soon, end := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer end()
	if err := awaitServer(soon, config); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a server: %v", err)
	}
	var asked atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" || asked.Add(1) < 3 { // it knows no roles yet
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	if server.Listener, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	server.Start()
	defer server.Close()
	if err := awaitServer(t.Context(), config); err != nil || asked.Load() != 3 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
}

func TestAManagerThatWaitsLivesAndIsNotReady(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	stop, err := probeWaiting(t.Context(), free)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"healthz": http.StatusOK, "readyz": http.StatusServiceUnavailable} {
		answer, err := http.Get("http://" + free + "/" + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil || answer.StatusCode != want {
			t.Errorf("%s: %s, %v", path, answer.Status, err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	listener, err = net.Listen("tcp", free) // the manager's own comes after it
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
}
