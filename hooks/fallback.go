package hooks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// fallback runs a command by WebSocket, and by SPDY where the upgrade to WebSocket
// was refused before anything could begin. client-go's own asks only whether there
// was an upgrade; a freeze mustn't be begun twice.
type fallback struct {
	webSocket, spdy remotecommand.Executor
}

func (f *fallback) exec(ctx context.Context, streams remotecommand.StreamOptions) error {
	refused := f.webSocket.StreamWithContext(ctx, streams)
	if !isRefusedUpgrade(refused) {
		return refused
	}
	return bothRefused(refused, f.spdy.StreamWithContext(ctx, streams))
}

// isRefusedUpgrade is true where err says that no command was begun: the server
// itself has refused the upgrade.
//
//   - 403: an API server or a kubelet that doesn't know the newest protocol (OpenShift's
//     for one), a proxy that lets no upgrade through, or a right that is lacking.
//   - Other codes below 500, and 501: the same in other words.
//   - Not the other codes from 500 on: 502 and 504 are also those of a proxy that had
//     passed the upgrade on and lost the answer. Then the command may run.
//   - Nor an upgrade without the protocol's name: the server may have begun the command,
//     and a proxy have taken the name away. A server that lacks the protocol says 403.
//   - Nor a connection that was cut.
//
// A proxy of HTTPS that WebSocket's client can't speak to was never asked.
func isRefusedUpgrade(err error) bool {
	if httpstream.IsHTTPSProxyError(err) {
		return true
	}
	code := upgradeCode(err)
	return code > 0 && code < http.StatusInternalServerError || code == http.StatusNotImplemented
}

// handshakeCode is how client-go tells the answer to an upgrade to WebSocket, where
// that isn't a Status of the API server.
var handshakeCode = regexp.MustCompile(`^websocket: bad handshake \((\d{3})\b`)

// upgradeCode is the HTTP status that an upgrade was answered by, 0 where err is
// another error.
func upgradeCode(err error) int {
	var failure *httpstream.UpgradeFailureError
	if !errors.As(err, &failure) {
		return 0
	}
	var status apierrors.APIStatus
	if errors.As(failure.Cause, &status) {
		return int(status.Status().Code)
	}
	if found := handshakeCode.FindStringSubmatch(failure.Cause.Error()); found != nil {
		code, _ := strconv.Atoi(found[1]) // three digits
		return code
	}
	return 0
}

// upgradeRefused and lacksExec are how client-go tells that an upgrade to SPDY was
// refused, and the API server that a right is lacking.
var (
	upgradeRefused = regexp.MustCompile(`^unable to upgrade connection: `)
	lacksExec      = regexp.MustCompile(` cannot [a-z]+ resource "pods/exec"`)
)

// bothRefused is the error of a command by SPDY. Where its upgrade was refused too, it
// says what to write for a right that is lacking, or how each was refused.
func bothRefused(webSocket, spdy error) error {
	switch {
	case spdy == nil || !upgradeRefused.MatchString(spdy.Error()):
		return spdy
	case lacksExec.MatchString(spdy.Error()):
		return fmt.Errorf(`%w: give that user a role with {apiGroups: [""], resources: [pods/exec], verbs: [create, get]}`, spdy)
	}
	return fmt.Errorf("SPDY: %w; and before that WebSocket: %w", spdy, webSocket)
}
