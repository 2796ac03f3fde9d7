package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
)

const (
	// askEvery is how often an API server that isn't ready is asked again.
	askEvery = time.Second
	// answersFor is how long one may answer that it isn't ready: whoever asks may
	// not be told.
	answersFor = 30 * time.Second
)

// awaitServerAlive waits until the API server is ready, and answers the probes
// meanwhile: the kubelet, which needs no API server for that, ends a container that
// doesn't.
func awaitServerAlive(ctx context.Context, config *rest.Config, probeAddress string) error {
	stop, err := probeWaiting(ctx, probeAddress)
	if err != nil {
		return err
	}
	return errors.Join(awaitServer(ctx, config), stop())
}

// probeWaiting answers the probes of a manager that waits: it lives, and isn't ready.
// The address is free again after stop.
func probeWaiting(ctx context.Context, address string) (stop func() error, err error) {
	if address == "" || address == "0" { // as controller-runtime has it
		return func() error { return nil }, nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	probes := http.NewServeMux()
	probes.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	probes.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "waits for the API server", http.StatusServiceUnavailable)
	})
	server := &http.Server{Handler: probes, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	return func() error {
		err := server.Close()
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}

// awaitServer waits until the API server is ready. A manager that starts without
// one would end, and the kubelet starts a container that ends ever later: nobody
// would thaw what the manager before has left frozen.
func awaitServer(ctx context.Context, config *rest.Config) error {
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return err
	}
	answered, told := time.Time{}, ""
	return wait.PollUntilContextCancel(ctx, askEvery, true, func(ctx context.Context) (bool, error) {
		why := isReady(ctx, httpClient, base.JoinPath("readyz").String())
		if why == nil {
			return true, nil
		}
		if why.Error() != told {
			told = why.Error()
			ctrl.Log.Info("waits for the API server", "error", told)
		}
		if !why.answered {
			answered = time.Time{}
			return false, nil
		}
		if answered.IsZero() {
			answered = time.Now()
		}
		return time.Since(answered) >= answersFor, nil
	})
}

// notReady is why an API server isn't. answered: it said so itself.
type notReady struct {
	error
	answered bool
}

func isReady(ctx context.Context, c *http.Client, url string) *notReady {
	ctx, end := context.WithTimeout(ctx, 5*time.Second)
	defer end()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return &notReady{error: err}
	}
	answer, err := c.Do(request)
	if err != nil {
		return &notReady{error: err}
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return &notReady{error: fmt.Errorf("%s says %s", url, answer.Status), answered: true}
	}
	return nil
}
