package component

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lull-dev/lull/test/cluster/internal/layout"
)

// health asks components on the loopback interface how they are. Some of them
// show a certificate of their own making, which proves nothing and need not.
var health = &http.Client{Transport: &http.Transport{
	TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	DisableKeepAlives: true,
}}

// answers is ready when a URL answers with 200.
func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := health.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
			return fmt.Errorf("%s: %s: %s", url, response.Status, strings.TrimSpace(string(text)))
		}
		return nil
	}
}

// Client returns a client with all rights.
func Client() (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", layout.Kubeconfig)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

func apiServerReady(ctx context.Context) error {
	client, err := Client()
	if err != nil {
		return err
	}
	_, err = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err
}

func containerdReady(ctx context.Context) error {
	output, err := exec.CommandContext(ctx, "ctr", "--address", layout.ContainerdSocket, "version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

// nodeReady is ready when the kubelet runs and the node can take pods.
func nodeReady(ctx context.Context) error {
	if err := answers("http://127.0.0.1:10248/healthz")(ctx); err != nil {
		return err
	}
	client, err := Client()
	if err != nil {
		return err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, layout.NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
		if condition.Type == corev1.NodeReady {
			return fmt.Errorf("the node isn't ready: %s", condition.Message)
		}
	}
	return errors.New("the node doesn't say whether it is ready")
}

// driverReady is ready when the driver says so and the kubelet knows of it.
func driverReady(ctx context.Context) error {
	connection, err := grpc.NewClient("unix://"+layout.CSISocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	probe, err := csi.NewIdentityClient(connection).Probe(ctx, &csi.ProbeRequest{})
	if err != nil {
		return err
	}
	if ready := probe.GetReady(); ready != nil && !ready.GetValue() {
		return errors.New("the driver isn't ready")
	}
	client, err := Client()
	if err != nil {
		return err
	}
	node, err := client.StorageV1().CSINodes().Get(ctx, layout.NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, driver := range node.Spec.Drivers {
		if driver.Name == layout.DriverName {
			return nil
		}
	}
	return fmt.Errorf("the kubelet doesn't know %s yet", layout.DriverName)
}
