package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// Listen makes the unix socket, in place of one that a killed process left.
func Listen(socket string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return nil, err
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", socket)
}

// SocketOf returns the path in an endpoint such as unix:///run/csi.sock.
func SocketOf(endpoint string) (string, error) {
	socket, ok := strings.CutPrefix(endpoint, "unix://")
	if !ok || !filepath.IsAbs(socket) {
		return "", fmt.Errorf("endpoint %q is not of the form unix:///path", endpoint)
	}
	return socket, nil
}

// NewServer returns a gRPC server that logs a line for each call.
func NewServer(log *slog.Logger) *grpc.Server {
	return grpc.NewServer(grpc.UnaryInterceptor(logCalls(log)))
}

// logCalls writes what was called, about what, and what came of it. Requests
// aren't written: they can hold secrets.
func logCalls(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		start := time.Now()
		response, err := handle(ctx, req)
		attrs := append(subjects(req), slog.Duration("took", time.Since(start)))
		level := slog.LevelInfo
		if err != nil {
			level = slog.LevelWarn
			attrs = append(attrs, slog.String("code", status.Code(err).String()), slog.String("error", err.Error()))
		}
		if ctx.Err() != nil {
			attrs = append(attrs, slog.Bool("callerGone", true))
		}
		log.LogAttrs(ctx, level, path.Base(info.FullMethod), attrs...)
		return response, err
	}
}

// subjects returns the ids and names in a request.
func subjects(req any) []slog.Attr {
	var attrs []slog.Attr
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	if r, ok := req.(interface{ GetName() string }); ok {
		add("name", r.GetName())
	}
	if r, ok := req.(interface{ GetVolumeId() string }); ok {
		add("volume", r.GetVolumeId())
	}
	if r, ok := req.(interface{ GetSourceVolumeId() string }); ok {
		add("volume", r.GetSourceVolumeId())
	}
	if r, ok := req.(interface{ GetSnapshotId() string }); ok {
		add("snapshot", r.GetSnapshotId())
	}
	if r, ok := req.(interface{ GetGroupSnapshotId() string }); ok {
		add("group", r.GetGroupSnapshotId())
	}
	return attrs
}
