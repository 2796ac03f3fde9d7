package framework

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/hooks"
)

// Database is a server in a pod, asked by its own client there.
type Database struct {
	dialect
	cluster *Cluster
	pod     *corev1.Pod
}

// dialect is how the client of a database is started, and what it is told to have a
// ledger: numbered rows with a content and its sum.
type dialect struct {
	// session is a line of shell that starts the client. It runs each line of its
	// standard input, and prints each answer at once.
	session string
	// query is a line of shell that has the client run the statement $0 alone.
	query string
	// begin makes an empty ledger. add is a format that takes a row's number, content
	// and sum: it is answered by the number alone, once the row is committed. rows has
	// all of them, each in a line.
	begin, add, rows string
	// check has the server check the ledger, and ends with OK where that is whole. It
	// is empty where a server can't.
	check string
}

// Query runs a statement.
func (d Database) Query(ctx context.Context, statement string) (string, error) {
	return d.cluster.Run(ctx, d.pod, "", shell(d.query, statement)...)
}

// asks is the probe of a container that wants a statement to be answered.
func (d dialect) asks(statement string) []string { return shell(d.query, statement) }

func shell(line, argument string) []string { return []string{"/bin/sh", "-c", line, argument} }

// converse runs the client until its input ends.
func (d Database) converse(ctx context.Context, streams hooks.Streams) error {
	var said bytes.Buffer
	streams.Err = &said
	where := hooks.Container{Namespace: d.pod.Namespace, Pod: d.pod.Name, Name: d.pod.Spec.Containers[0].Name}
	err := d.cluster.Executor.Exec(ctx, where, []string{"/bin/sh", "-c", d.session}, streams)
	return errors.Join(fmt.Errorf("the database client ended: %s", strings.TrimSpace(said.String())), err)
}
