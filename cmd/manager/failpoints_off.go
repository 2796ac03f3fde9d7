//go:build !failpoints

package main

import (
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/lull-dev/lull/hooks"
)

// Failpoints are for the build of the fault suite alone, see failpoints.go.
func onlyNamespace() string { return "" }

func failClient(*ctrl.Options) {}

func failExecutor(e hooks.Executor) hooks.Executor { return e }

func machineClock() clock.PassiveClock { return clock.RealClock{} }
