package hooks

import (
	"context"
	"io"
	"net/http/httptrace"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
)

// Container is where a command runs.
type Container struct{ Namespace, Pod, Name string }

// Streams are a command's standard streams. There is never a terminal: with
// one, the runtime keeps the input open when its client has gone.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Executor runs a command in a container until it ends or ctx does. It returns
// nil where the command ended with 0. The end of ctx ends the stream, and so
// the command's input; it doesn't end the command. The streams may be used for a
// moment after that.
type Executor interface {
	Exec(ctx context.Context, c Container, command []string, s Streams) error
}

// NewExecutor is an Executor by the API server of config: by WebSocket, whose
// newest protocol can end the input alone, and where the upgrade to it is
// refused by SPDY, which can as well. A command is never begun twice: see fallback.
func NewExecutor(config *rest.Config) (Executor, error) {
	config = rest.CopyConfig(config)
	config.GroupVersion = &corev1.SchemeGroupVersion
	config.APIPath = "/api"
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	return &remote{config: config, client: client}, nil
}

type remote struct {
	config *rest.Config
	client rest.Interface
}

func (r *remote) Exec(ctx context.Context, c Container, command []string, s Streams) error {
	executor, err := r.executor(c, command, s)
	if err != nil {
		return err
	}
	// client-go's heed the end of ctx once they are connected: a server that takes a
	// connection and doesn't answer, as one that hangs does, would hold them. It is to
	// forget the command as well, which it would begin when it goes on. By SPDY, whose
	// client tells nobody of its connection, it isn't waited for, no more.
	ctx, end := context.WithCancel(ctx)
	defer end()
	untilEnd := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		context.AfterFunc(ctx, func() { _ = got.Conn.Close() })
	}})
	ended := make(chan error, 1)
	go func() {
		ended <- executor.exec(untilEnd, remotecommand.StreamOptions{Stdin: s.In, Stdout: s.Out, Stderr: s.Err})
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *remote) executor(c Container, command []string, s Streams) (*fallback, error) {
	url := r.client.Post().Namespace(c.Namespace).Resource("pods").Name(c.Pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: c.Name,
			Command:   command,
			Stdin:     s.In != nil,
			Stdout:    s.Out != nil,
			Stderr:    s.Err != nil,
		}, scheme.ParameterCodec).URL()
	webSocket, err := remotecommand.NewWebSocketExecutor(r.config, "GET", url.String())
	if err != nil {
		return nil, err
	}
	spdy, err := remotecommand.NewSPDYExecutor(r.config, "POST", url)
	if err != nil {
		return nil, err
	}
	return &fallback{webSocket: webSocket, spdy: spdy}, nil
}
