package main

import (
	"cmp"
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// engine is a database that is loaded, backed up and started from its copy.
type engine struct {
	// name is what it is called, version and all, and recipe by what it is quieted.
	name, recipe string
	layouts      []layout
	// holdsCommits is true where nothing is committed while it is held.
	holdsCommits bool
	// copyPause is how long the slow copy waits before each file: so that it lasts
	// long enough for the server to write what it has in memory, and short for a
	// freeze, whatever number of files the server has.
	copyPause string

	// server has its data and its log in folders of the named claims, which may
	// be one, and the objects beside it that it needs.
	server func(namespace, name, data, log string) (framework.Application, []client.Object)
	// in is the database in a pod of that server.
	in func(c *framework.Cluster, pod *corev1.Pod) framework.Database
	// prepare makes what load needs, once, and tells the server's version.
	prepare func(ctx context.Context, db framework.Database) (version string, err error)
	// busy and calm are statements around a load: churn, a line of shell in the
	// server's container, is one session of it from the one to the other.
	busy, calm, churn string

	// start is the command of the server, and serves a line of shell that succeeds
	// once it answers.
	start, serves string
	// filesBefore and filesAfter are scripts that check the files of a copy: as they
	// were copied, and after the server that was started on them has been stopped.
	// Either may be empty. stop stops it.
	filesBefore, stop, filesAfter string
	// check reads and checks what churn has changed, nil where there is no more to
	// check than the ledger.
	check func(ctx context.Context, c *framework.Cluster, pod *corev1.Pod) (faults []string, err error)
	// damage is true for a line of a server's log that it has where something was torn.
	damage func(line string) bool
}

// engines are all that are tried. The Makefile has the cluster have their images.
func engines() []engine {
	return []engine{
		mariadb("10.11", ""), mariadb("11.8", "lull.dev/mariadb:11.8"), mysql(),
		postgresql("15", ""), postgresql("17", "lull.dev/postgres:17"), postgresql("18", "lull.dev/postgres:18"),
		redis.appendOnly(), redis.saves(), valkey.appendOnly(), valkey.saves(),
	}
}

// loaders is how many sessions change data beside the one that writes the ledger.
const loaders = 3

// original is the server that is backed up.
func (e engine) original(namespace, data, log string) (framework.Application, []client.Object) {
	app, beside := e.server(namespace, "db", data, log)
	app.Command = []string{"/bin/sh", "-c", "exec " + entrypoint + e.start}
	app.Annotations = map[string]string{v1alpha1.AnnotationQuiesce: e.recipe}
	return app, beside
}

// entrypoint is that of the image, as usual images call it and as ours do.
const entrypoint = `"$(command -v docker-entrypoint.sh || command -v entrypoint)" `

// bootScript checks files and starts the server, and stays when that ends.
const bootScript = `(
%s
) >/tmp/before 2>&1
echo $? >/tmp/before-ended
%s
echo $? >/tmp/ended
exec sleep infinity`

// copied is the same server as a pod, on copies of the volumes.
func (e engine) copied(namespace, name, data, log string) (framework.Application, []client.Object) {
	app, beside := e.server(namespace, name, data, log)
	app.Kind, app.Started = v1alpha1.KindPod, nil
	app.Command = []string{"/bin/sh", "-c", fmt.Sprintf(bootScript, cmp.Or(e.filesBefore, ":"), entrypoint+e.start)}
	mounts := app.Change
	app.Change = func(o client.Object) {
		if mounts != nil {
			mounts(o)
		}
		framework.PodSpec(o).TerminationGracePeriodSeconds = ptr.To(int64(0))
	}
	return app, beside
}
