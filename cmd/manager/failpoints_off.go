//go:build !failpoints

package main

import (
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/lull-dev/lull/hooks"
)

// Failpoints are for the build of the fault suite alone, see failpoints.go.
func onlyNamespace() string { return "" }

func failClient(*ctrl.Options) {}

func failExecutor(e hooks.Executor) hooks.Executor { return e }
