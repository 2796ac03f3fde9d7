package main

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/framework"
)

// engine is a database that is loaded, backed up and started from its copy.
type engine interface {
	name() string
	// server has its data and its log in folders of the named claims, which may
	// be one, and the objects beside it that it needs.
	server(namespace, name, data, log string) (framework.Application, []client.Object)
	// copy is the same server as a pod, which stays when the server ends.
	copy(of framework.Application) framework.Application

	// prepare makes what load needs, once, and tells the server's version.
	prepare(ctx context.Context, c *framework.Cluster, pod *corev1.Pod) (version string, err error)
	// load writes into the server until it is stopped, from an empty ledger on.
	load(ctx context.Context, c *framework.Cluster, pod *corev1.Pod) (*load, error)
	// examine waits until the copy serves or has ended, reads all of it and stops
	// it. What is wrong with it comes back as faults, an error is of the test.
	examine(ctx context.Context, c *framework.Cluster, pod *corev1.Pod, frozen framework.Pause) (faults []string, err error)
}

// load is what is written into a database.
type load struct {
	ledger *framework.Writer
	stop   func(context.Context) error
}
