package framework

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Where a MariaDB of MariaDBWithLog has its data and its log.
const (
	mariadbData = "/var/lib/mysql"
	mariadbLog  = "/redo"
)

// MariaDBWithLog is a database server with its data on one claim and its redo log
// on another, or in another folder of the same, and its settings, lines of the
// section [mysqld]. The caller creates the settings before it starts the server.
func MariaDBWithLog(namespace, name, data, log, settings string) (Application, *corev1.ConfigMap) {
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string]string{
		"log.cnf": "[mysqld]\ninnodb_log_group_home_dir=" + mariadbLog + "\n" + settings,
	}}
	db := MariaDB(namespace, name, data)
	if log != data {
		db.Claims = append(db.Claims, log)
	}
	db.Change = func(o client.Object) {
		spec := PodSpec(o)
		container := &spec.Containers[0]
		// The folders are below the root of their volumes, where a file system
		// has a folder of its own.
		container.VolumeMounts = []corev1.VolumeMount{
			{Name: data, MountPath: mariadbData, SubPath: "data"},
			{Name: log, MountPath: mariadbLog, SubPath: "log"},
			{Name: "config", MountPath: "/etc/mysql/conf.d"},
		}
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "config", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}},
		}})
		owns := container.DeepCopy()
		owns.Name, owns.StartupProbe = "owns", nil
		owns.Command = []string{"/bin/sh", "-c", "chown mysql " + mariadbLog}
		spec.InitContainers = []corev1.Container{*owns}
	}
	return db, config
}

// PodSpec is that of a workload of an Application, nil where it is of a kind that
// Application doesn't make.
func PodSpec(workload client.Object) *corev1.PodSpec {
	switch w := workload.(type) {
	case *corev1.Pod:
		return &w.Spec
	case *appsv1.Deployment:
		return &w.Spec.Template.Spec
	case *appsv1.StatefulSet:
		return &w.Spec.Template.Spec
	case *appsv1.DaemonSet:
		return &w.Spec.Template.Spec
	}
	return nil
}
