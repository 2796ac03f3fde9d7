//go:build failpoints

package main

import "testing"

func TestFailpointsAreNamedByFunctions(t *testing.T) {
	const module = "github.com/lull-dev/lull/"
	for function, want := range map[string]string{
		module + "controllers.(*VolumeBackupReconciler).begin":        "VolumeBackup.begin",
		module + "controllers.save":                                   "save",
		module + "controllers/restore.(*Reconciler).swap":             "restore.swap",
		module + "controllers/restore.Reconciler.swap.func2.1":        "restore.swap",
		module + "controllers/backup.(*attempt).run-range1":           "backup.attempt.run",
		module + "controllers/backup.(*attempt).run.gowrap1":          "backup.attempt.run",
		module + "controllers/reconcile.(*Loop[...]).save":            "reconcile.Loop.save",
		module + "controllers/reconcile.Save[...].func1":              "reconcile.Save",
		module + "hooks.quietPod.runHook-fm":                          "hooks.quietPod.runHook",
		module + "snapshot.Next":                                      "",
		"sigs.k8s.io/controller-runtime/pkg/internal/controllers.Run": "",
	} {
		if name := nameOf(function); name != want {
			t.Errorf("%s is named %q and should be %q", function, name, want)
		}
	}
}
