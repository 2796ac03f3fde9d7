// Package rules is what a pod of ours has to fit in the namespace of an application:
// which amounts LimitRanges and quotas ask for, and which labels it may carry.
//
// It reads nothing and makes nothing. What is a pod's own, its volumes and its
// command, belongs to whoever makes it: snapshot/restore, restic-export.
package rules
