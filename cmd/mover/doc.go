// Command mover runs in a Job's pod, beside restic: it does one task, which is its
// argument, by running restic, or by copying files itself, prints the progress and
// leaves the result as its container's termination message. It never speaks to the Kubernetes API.
//
// For a repository that is reached by SFTP, restic runs it again as its SSH
// client: mover ssh.
//
// What the command lines are and what restic's words mean belongs into
// restic-export, which is plain functions; here it is run.
package main
