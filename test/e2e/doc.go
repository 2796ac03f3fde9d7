// Package e2e tests Lull as its users meet it: deployed on the cluster that
// KUBECONFIG names, with real applications, real volumes and real snapshots.
//
//	make test-e2e FOCUS='a MariaDB'
//	go tool ginkgo --label-filter='!driver && !node' ./test/e2e
//
// The driver is that of the storage class (LULL_TEST_STORAGE_CLASS, or the
// cluster's default). Labels say what a spec needs beyond one that can snapshot:
//
//	driver  the test driver of this repository, which misbehaves when asked to
//	node    to run on the cluster's node as root, to kill a container there
package e2e
