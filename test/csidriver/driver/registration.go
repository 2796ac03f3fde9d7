package driver

import (
	"context"
	"log/slog"

	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// Registration tells the kubelet, which watches a folder for sockets, who we
// are and where the CSI socket is.
type Registration struct {
	registration.UnimplementedRegistrationServer

	Name   string // the driver's
	Socket string // path of the CSI socket
	Log    *slog.Logger
}

// GetInfo answers the kubelet when it has found our socket.
func (r Registration) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type:              registration.CSIPlugin,
		Name:              r.Name,
		Endpoint:          r.Socket,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

// NotifyRegistrationStatus hears what came of it. The kubelet tries again alone.
func (r Registration) NotifyRegistrationStatus(_ context.Context, s *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if s.GetPluginRegistered() {
		r.Log.Info("registered with the kubelet")
	} else {
		r.Log.Error("the kubelet refused the driver", "error", s.GetError())
	}
	return &registration.RegistrationStatusResponse{}, nil
}
