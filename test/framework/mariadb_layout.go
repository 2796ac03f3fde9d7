package framework

import (
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
	db := MariaDB(namespace, name, data).Apart(Folder{data, "data", mariadbData}, Folder{log, "log", mariadbLog})
	mounts := db.Change
	db.Change = func(o client.Object) {
		mounts(o)
		spec := PodSpec(o)
		container := &spec.Containers[0]
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: "config", MountPath: "/etc/mysql/conf.d"})
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
