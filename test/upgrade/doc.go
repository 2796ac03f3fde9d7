// Package upgrade has one version of the operator take over from another while backups
// and restores are under way, with its CRDs applied first, and last.
//
//	make test-upgrade FROM=v0.1.0   from a tag or commit of this repository
//
// Whatever was begun comes to its end, nothing stays frozen past its limit, and what
// the older version has left can be used and undone.
//
// It changes the operator of the cluster, and leaves the newer version there.
package upgrade
