package e2e

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	exec "github.com/lull-dev/lull/hooks"
)

// A hold needs the half-close: the end of its input, and its last words after
// that. Both ways to exec carry it.
var _ = Describe("exec", func() {
	hold := []string{"/bin/sh", "-c", "echo HELD; cat; echo STILL_HELD"}

	run := func(ctx context.Context, config *rest.Config, in exec.Container) (string, error) {
		executor, err := exec.NewExecutor(config)
		Expect(err).NotTo(HaveOccurred())
		input, end := io.Pipe()
		var out held
		out.first = func() { Expect(end.Close()).To(Succeed()) }
		err = executor.Exec(ctx, in, hold, exec.Streams{In: input, Out: &out, Err: io.Discard})
		return out.said.String(), err
	}

	It("carries the half-close over WebSocket, and over SPDY where WebSocket is refused", NodeTimeout(time.Minute), func(ctx SpecContext) {
		pod := podOf(ctx, running(ctx, tools("plain", "exec sleep infinity")))
		in := exec.Container{Namespace: pod.Namespace, Pod: pod.Name, Name: pod.Spec.Containers[0].Name}

		By("WebSocket")
		var seen upgrades
		Expect(run(ctx, through(&seen, false), in)).To(Equal("HELD\nSTILL_HELD\n"))
		Expect(seen.all).To(Equal([]string{"GET websocket"}))

		By("SPDY")
		seen = upgrades{}
		Expect(run(ctx, through(&seen, true), in)).To(Equal("HELD\nSTILL_HELD\n"))
		Expect(seen.all).To(Equal([]string{"GET websocket", "POST SPDY/3.1"}))
	})
})

// held calls first when the first word comes. It doesn't embed the buffer, which
// would bring a ReadFrom along, and with it a way around Write.
type held struct {
	said  bytes.Buffer
	first func()
}

func (h *held) Write(b []byte) (int, error) {
	if h.first != nil {
		h.first()
		h.first = nil
	}
	return h.said.Write(b)
}

type upgrades struct{ all []string }

// through is a way to the API server by a proxy, as it stands before many, that
// notes what is upgraded to, and refuses WebSocket where it is told to.
func through(seen *upgrades, refuse bool) *rest.Config {
	config := rest.CopyConfig(cluster.Config)
	config.NextProtos = []string{"http/1.1"} // HTTP/2 knows no upgrade
	transport, err := rest.TransportFor(config)
	Expect(err).NotTo(HaveOccurred())
	target, err := url.Parse(cluster.Config.Host)
	Expect(err).NotTo(HaveOccurred())
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = transport
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrade := r.Header.Get("Upgrade")
		seen.all = append(seen.all, r.Method+" "+upgrade)
		if refuse && upgrade == "websocket" {
			http.Error(w, "this proxy knows no WebSocket", http.StatusBadRequest)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	DeferCleanup(server.Close)
	return &rest.Config{Host: server.URL}
}
