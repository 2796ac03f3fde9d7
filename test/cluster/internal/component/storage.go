package component

import (
	"github.com/lull-dev/lull/test/cluster/internal/layout"
)

// The storage controllers may talk to the API server as fast as they like, have
// workers enough, and try again soon: tests compare the time a snapshot takes
// with the time an application is frozen for it, and storage that fails on
// purpose should not be waited for longer than it fails.
var eager = []string{
	"--kube-api-qps=100",
	"--kube-api-burst=200",
	"--retry-interval-start=200ms",
	"--retry-interval-max=5s",
}

// limits are those of the snapshot controllers: the same, or those that they come
// with, which is 5 requests a second and 10 workers.
func limits(machine Machine) []string {
	if machine.StockSnapshots {
		return nil
	}
	return append([]string{"--worker-threads=20"}, eager...)
}

// driverTimeout is how long a call of the driver may take. The driver can be
// told to be slow.
const driverTimeout = "5m"

// groupSnapshots has the snapshot controllers know VolumeGroupSnapshots, which
// are beta and off by default.
const groupSnapshots = "--feature-gates=CSIVolumeGroupSnapshot=true"

func driver() Component {
	return Component{
		Name: Driver,
		Args: []string{
			"--endpoint=unix://" + layout.CSISocket,
			"--node-id=" + layout.NodeName,
			"--data-dir=" + layout.CSI,
			"--kubelet-dir=" + layout.Kubelet,
			"--driver-name=" + layout.DriverName,
		},
		Ready: driverReady,
	}
}

func snapshotController(machine Machine) Component {
	return Component{
		Name: SnapshotController,
		Args: append([]string{
			"--kubeconfig=" + layout.KubeconfigOf(SnapshotController),
			// A snapshot that is deleted while a volume is made from it is
			// looked at again only after this time; the default is 15m.
			"--resync-period=30s",
			groupSnapshots,
			"--http-endpoint=127.0.0.1:10301",
		}, limits(machine)...),
		Ready: answers("http://127.0.0.1:10301/metrics"),
	}
}

func snapshotter(machine Machine) Component {
	return Component{
		Name: Snapshotter,
		Args: append([]string{
			"--kubeconfig=" + layout.KubeconfigOf(Snapshotter),
			"--csi-address=" + layout.CSISocket,
			"--timeout=" + driverTimeout,
			"--extra-create-metadata",
			// A snapshot that is deleted while it is being cut is looked at
			// again only after this time (ShouldEnqueueContentChange in
			// external-snapshotter); the default is 15m.
			"--resync-period=10s",
			groupSnapshots,
			"--http-endpoint=127.0.0.1:10302",
		}, limits(machine)...),
		Ready: answers("http://127.0.0.1:10302/metrics"),
	}
}

func provisioner() Component {
	return Component{
		Name: Provisioner,
		Args: append([]string{
			"--kubeconfig=" + layout.KubeconfigOf(Provisioner),
			"--csi-address=" + layout.CSISocket,
			"--timeout=" + driverTimeout,
			"--feature-gates=Topology=true",
			"--immediate-topology",
			"--default-fstype=ext4",
			"--extra-create-metadata",
			"--http-endpoint=127.0.0.1:10303",
		}, eager...),
		Ready: answers("http://127.0.0.1:10303/metrics"),
	}
}

func resizer() Component {
	return Component{
		Name: Resizer,
		Args: append([]string{
			"--kubeconfig=" + layout.KubeconfigOf(Resizer),
			"--csi-address=" + layout.CSISocket,
			"--timeout=" + driverTimeout,
			"--resize-timeout=" + driverTimeout,
			// The driver grows volumes in use.
			"--handle-volume-inuse-error=false",
			"--http-endpoint=127.0.0.1:10304",
		}, eager...),
		Ready: answers("http://127.0.0.1:10304/metrics"),
	}
}
