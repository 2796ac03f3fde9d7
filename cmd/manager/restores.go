package main

import (
	"context"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/controllers"
)

func setUpRestores(ctx context.Context, mgr ctrl.Manager, options controllers.RestoreOptions) error {
	if options.Image == "" {
		image, err := ownImage(ctx, mgr.GetAPIReader())
		if err != nil {
			return err
		}
		options.Image = image
	}
	restores := &controllers.VolumeRestoreReconciler{
		Client:  mgr.GetClient(),
		Live:    mgr.GetAPIReader(),
		Events:  mgr.GetEventRecorder("lull"),
		Clock:   clock.RealClock{},
		Options: options,
	}
	return restores.SetupWithManager(mgr)
}

// ownImage is the image that this manager runs from. Nodes have it, or can
// pull it.
func ownImage(ctx context.Context, live client.Reader) (string, error) {
	key := client.ObjectKey{Namespace: os.Getenv("POD_NAMESPACE"), Name: os.Getenv("POD_NAME")}
	if key.Namespace == "" || key.Name == "" {
		return "", fmt.Errorf("outside of a pod with POD_NAMESPACE and POD_NAME the image has to be named: --image")
	}
	var pod corev1.Pod
	if err := live.Get(ctx, key, &pod); err != nil {
		return "", err
	}
	for _, c := range pod.Spec.Containers {
		if c.Name == "manager" {
			return c.Image, nil
		}
	}
	return pod.Spec.Containers[0].Image, nil
}

// prove is all that a pod does that proves that volumes mount: it runs, so
// they do.
func prove(paths []string) {
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			fmt.Fprintln(os.Stderr, "prove:", err)
			os.Exit(1)
		}
	}
}
