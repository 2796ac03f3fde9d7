package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/lull-dev/lull/test/csidriver/driver"
	"github.com/lull-dev/lull/test/csidriver/fault"
)

type options struct {
	config     driver.Config
	endpoint   string
	kubeletDir string
}

// serve runs until the context ends. Volumes stay mounted then, as they do when
// a driver's pod is replaced; cleanup is a command of its own.
func serve(ctx context.Context, o options, log *slog.Logger) error {
	socket, err := driver.SocketOf(o.endpoint)
	if err != nil {
		return err
	}
	d, err := driver.New(o.config)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if err := serveControl(ctx, group, o.config.DataDir, d.Faults); err != nil {
		return err
	}
	if err := serveCSI(ctx, group, socket, d, log); err != nil {
		return err
	}
	if o.kubeletDir != "" {
		if err := serveRegistration(ctx, group, o, socket, log); err != nil {
			return err
		}
	}
	log.Info("serving", "driver", o.config.Name, "node", o.config.NodeID, "socket", socket)
	return group.Wait()
}

func serveCSI(ctx context.Context, group *errgroup.Group, socket string, d *driver.Driver, log *slog.Logger) error {
	server := driver.NewServer(log)
	csi.RegisterIdentityServer(server, d)
	csi.RegisterControllerServer(server, d)
	csi.RegisterGroupControllerServer(server, d)
	csi.RegisterNodeServer(server, d)
	return serveGRPC(ctx, group, server, socket)
}

func serveRegistration(ctx context.Context, group *errgroup.Group, o options, socket string, log *slog.Logger) error {
	server := driver.NewServer(log)
	registration.RegisterRegistrationServer(server, driver.Registration{Name: o.config.Name, Socket: socket, Log: log})
	return serveGRPC(ctx, group, server, filepath.Join(o.kubeletDir, "plugins_registry", o.config.Name+"-reg.sock"))
}

// serveGRPC stops without waiting for calls: one may be asked to take for ever.
func serveGRPC(ctx context.Context, group *errgroup.Group, server *grpc.Server, socket string) error {
	listener, err := driver.Listen(socket)
	if err != nil {
		return err
	}
	group.Go(func() error { return server.Serve(listener) })
	context.AfterFunc(ctx, server.Stop)
	return nil
}

func serveControl(ctx context.Context, group *errgroup.Group, dataDir string, book *fault.Book) error {
	listener, err := driver.Listen(controlSocket(dataDir))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: fault.Handler(book), BaseContext: func(net.Listener) context.Context { return ctx }}
	group.Go(func() error {
		if err := server.Serve(listener); ctx.Err() == nil {
			return err
		}
		return nil
	})
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return nil
}
