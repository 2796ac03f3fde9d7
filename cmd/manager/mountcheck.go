package main

import (
	"context"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// imageOf is the image that is named, else the one that this manager runs from:
// nodes have it, or can pull it.
func imageOf(ctx context.Context, live client.Reader, named string) (string, error) {
	if named != "" {
		return named, nil
	}
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

// checkMounts is all that a mount check pod does: it runs, so its volumes mount.
func checkMounts(paths []string) {
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			fmt.Fprintln(os.Stderr, "check-mounts:", err)
			os.Exit(1)
		}
	}
}
