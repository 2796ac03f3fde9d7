// Package workload is what of a workload, its pods and their claims matters to
// us, for every kind: the pod template, who owns which pod, who mounts which
// claim, what is missing to be ready. They are plain functions over plain data.
//
// What is done with it doesn't belong here: neither how it is quieted (hooks)
// nor how it is cut or restored (snapshot/cut, snapshot/restore).
package workload
