package e2e

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	exec "github.com/lull-dev/lull/hooks"
)

// A hold needs the half-close: the end of its input, and its last words after
// that. Both ways to exec carry it.
var _ = Describe("exec", func() {
	var in exec.Container
	var pod *corev1.Pod

	BeforeEach(func(ctx SpecContext) {
		pod = podOf(ctx, running(ctx, tools("plain", "exec sleep infinity")))
		in = exec.Container{Namespace: pod.Namespace, Pod: pod.Name, Name: pod.Spec.Containers[0].Name}
	})

	// run holds once, and returns what was said. Each run leaves a line in /tmp/runs.
	run := func(ctx context.Context, config *rest.Config) (string, error) {
		executor, err := exec.NewExecutor(config)
		Expect(err).NotTo(HaveOccurred())
		input, end := io.Pipe()
		var out held
		out.first = func() { Expect(end.Close()).To(Succeed()) }
		hold := []string{"/bin/sh", "-c", "echo run >> /tmp/runs; echo HELD; cat; echo STILL_HELD"}
		err = executor.Exec(ctx, in, hold, exec.Streams{In: input, Out: &out, Err: io.Discard})
		return out.said.String(), err
	}
	ran := func(ctx context.Context) ([]string, error) {
		said, err := cluster.Sh(ctx, pod, "cat /tmp/runs")
		return strings.Fields(said), err
	}

	It("carries the half-close over WebSocket, and over SPDY where WebSocket is refused", NodeTimeout(time.Minute), func(ctx SpecContext) {
		By("WebSocket")
		var seen upgrades
		Expect(run(ctx, through(&seen, nil))).To(Equal("HELD\nSTILL_HELD\n"))
		Expect(seen.all).To(Equal([]string{"GET websocket"}))

		By("SPDY")
		for _, status := range []int{http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented} {
			seen = upgrades{}
			refuse := func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
			}
			Expect(run(ctx, through(&seen, refuse))).To(Equal("HELD\nSTILL_HELD\n"), "%d", status)
			Expect(seen.all).To(Equal([]string{"GET websocket", "POST SPDY/3.1"}), "%d", status)
		}
		Expect(ran(ctx)).To(Equal([]string{"run", "run", "run", "run", "run"}))
	})

	It("begins no command again that a proxy lost the answer of", NodeTimeout(time.Minute), func(ctx SpecContext) {
		var seen upgrades
		// A proxy that passes an upgrade on, and can't take the answer, says 502.
		lose := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
			})
		}
		_, err := run(ctx, through(&seen, lose))
		Expect(err).To(MatchError(ContainSubstring("502 Bad Gateway")))
		Expect(seen.all).To(Equal([]string{"GET websocket"}))
		Eventually(ctx, ran).Should(Equal([]string{"run"}), "the command runs all the same")
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
// notes what is upgraded to. What does with an upgrade to WebSocket as a proxy may is
// put before the API server, nil passes it on.
func through(seen *upgrades, does func(next http.Handler) http.Handler) *rest.Config {
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
		if upgrade == "websocket" && does != nil {
			does(proxy).ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	DeferCleanup(server.Close)
	return &rest.Config{Host: server.URL}
}
