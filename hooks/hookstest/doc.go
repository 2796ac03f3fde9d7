// Package hookstest runs hooks as processes of this machine, for tests that
// want real shells and pipes but no cluster.
//
// Nothing of the product imports it.
package hookstest
