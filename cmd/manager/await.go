package main

import (
	"context"
	"fmt"
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
	answered, isTold := time.Time{}, false
	return wait.PollUntilContextCancel(ctx, askEvery, true, func(ctx context.Context) (bool, error) {
		why := isReady(ctx, httpClient, base.JoinPath("readyz").String())
		if why == nil {
			return true, nil
		}
		if !isTold {
			ctrl.Log.Info("waits for the API server", "error", why.Error())
			isTold = true
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
