// Package integration tests the API and the controllers against a real API
// server and its etcd. There is no kubelet, no other controller and no storage
// here: a test makes pods and claims as plain objects, runs hooks as processes
// of this machine, and plays the storage side itself, so that it decides what
// is cut when.
//
// The oracle: hooks leave a mark while they hold, and the storage side notes
// which marks there are at the instant of each cut. What a backup says of
// itself is compared with that after every case.
//
//	main_test         the API server, as deploy/ sets it up
//	world_test        one application in a namespace of its own
//	storage_test      the storage side
//	manager_test      a manager that can be killed at any point
//	invariants_test   what has to be true whatever happened
package integration
