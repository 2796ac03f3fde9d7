package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var (
	cluster *framework.Cluster
	// namespace is the running spec's own.
	namespace string
	began     metav1.Time
)

func TestE2E(t *testing.T) {
	if os.Getenv("KUBECONFIG") == "" {
		t.Fatal("KUBECONFIG names no cluster: make test-e2e brings one up and deploys Lull there")
	}
	RegisterFailHandler(Fail)
	log.SetLogger(GinkgoLogr)
	SetDefaultEventuallyTimeout(3 * time.Minute)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	EnforceDefaultTimeoutsWhenUsingContexts()
	RunSpecs(t, "Lull")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	cluster, err = framework.Connect()
	Expect(err).NotTo(HaveOccurred())
	theManager(ctx)
	class, err := cluster.StorageClass(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(class.ReclaimPolicy).To(HaveValue(Equal(corev1.PersistentVolumeReclaimDelete)), "the suite expects volumes to go with their claims")
})

var _ = BeforeEach(func(ctx SpecContext) {
	began = metav1.NewTime(time.Now().Truncate(time.Second))
	var err error
	namespace, err = cluster.Namespace(ctx, "e2e")
	Expect(err).NotTo(HaveOccurred())
	own := namespace
	DeferCleanup(func(ctx SpecContext) {
		gone := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: own}}
		Expect(cluster.Delete(ctx, gone)).To(Succeed())
	})
})

var _ = JustAfterEach(func(ctx SpecContext) {
	if CurrentSpecReport().Failed() {
		report(ctx)
	}
})

// report prints what a person would look at after a failure.
func report(ctx context.Context) {
	show := func(what string, value any, err error) {
		text, failed := yaml.Marshal(value)
		if err = errors.Join(err, failed); err != nil {
			text = fmt.Appendf(text, "\n%v", err)
		}
		AddReportEntry(what, string(text), ReportEntryVisibilityFailureOrVerbose)
	}
	var backups v1alpha1.VolumeBackupList
	err := cluster.List(ctx, &backups, client.InNamespace(namespace))
	for i := range backups.Items {
		backups.Items[i].ManagedFields = nil
	}
	show("backups", backups.Items, err)
	var restores v1alpha1.VolumeRestoreList
	err = cluster.List(ctx, &restores, client.InNamespace(namespace))
	for i := range restores.Items {
		restores.Items[i].ManagedFields = nil
	}
	show("restores", restores.Items, err)
	var snapshots snapshotv1.VolumeSnapshotList
	err = cluster.List(ctx, &snapshots, client.InNamespace(namespace))
	for i := range snapshots.Items {
		snapshots.Items[i].ManagedFields = nil
	}
	show("snapshots", snapshots.Items, err)
	var pods corev1.PodList
	err = cluster.List(ctx, &pods, client.InNamespace(namespace))
	states := map[string]corev1.PodStatus{}
	for _, p := range pods.Items {
		states[p.Name] = p.Status
	}
	show("pods", states, err)
	var events eventsv1.EventList
	err = cluster.List(ctx, &events, client.InNamespace(namespace))
	var lines []string
	for _, e := range events.Items {
		lines = append(lines, fmt.Sprintf("%s %s %s: %s", e.CreationTimestamp.Format(time.TimeOnly), e.Regarding.Name, e.Reason, e.Note))
	}
	show("events", lines, err)
	text, err := managerLog(ctx)
	show("manager", text, err)
}

func managerLog(ctx context.Context) (string, error) {
	pod, err := cluster.Manager(ctx)
	if err != nil {
		return "", err
	}
	text, err := cluster.Kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{SinceTime: &began, TailLines: ptr.To(int64(200))}).DoRaw(ctx)
	return string(text), err
}
