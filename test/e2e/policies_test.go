package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("a policy", func() {
	It("makes a backup for each due time, once, and is told by kubectl", func(ctx SpecContext) {
		running(ctx, joined(tools("app", "", "data"), "often"))
		p := aPolicy(ctx, "often", "@every 1m")
		Eventually(ctx, backupsOf(p)).WithTimeout(90 * time.Second).Should(HaveLen(1))
		made, err := backupsOf(p)(ctx)
		Expect(err).NotTo(HaveOccurred())
		due := policyNow(ctx, p).CreationTimestamp.Add(time.Minute).UTC()
		Expect(made[0].Name).To(HavePrefix("often-app-" + due.Format("20060102-1504") + "-"))
		Expect(made[0].Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationScheduledAt, due.Format(time.RFC3339)))
		Expect(made[0].OwnerReferences).To(BeEmpty()) // a policy that is deleted takes no backup along
		Expect(theBackup(ctx, &made[0])).To(be(v1alpha1.Crash, v1alpha1.MethodNone))

		Eventually(ctx, func() string { return kubectl(ctx, "get", "sp", "-n", namespace) }).Should(
			MatchRegexp(`(?m)^often +@every 1m +false +1 +\d+s +` + due.Add(time.Minute).Format(time.RFC3339) + ` +True `))
		row := policyNow(ctx, p).Status.Applications[0]
		Expect(row.LastBackup).To(Equal(made[0].Name))
		Expect(row.LastConsistency).To(Equal(v1alpha1.Crash))
	})

	It("makes one at once where it is asked to, keeps what its rules say, and what goes is gone from the storage", func(ctx SpecContext) {
		running(ctx, joined(tools("app", "", "data"), "kept"))
		p := aPolicy(ctx, "kept", "@yearly", func(p *v1alpha1.SnapshotPolicy) {
			p.Spec.Retention.Snapshots = &v1alpha1.RetentionRules{KeepLast: 2}
		})
		var names, copies []string
		for n := range 4 {
			names = append(names, asksForOne(ctx, p, fmt.Sprint(n)))
			copies = append(copies, copyOf(ctx, p.Namespace, names[n]))
		}
		Eventually(ctx, backupsOf(p)).Should(ConsistOf(HaveField("Name", names[2]), HaveField("Name", names[3])))
		Eventually(ctx, func() ([]string, error) {
			contents, err := contentsOf(ctx)
			var of []string
			for _, c := range contents {
				of = append(of, c.Spec.VolumeSnapshotRef.Name)
			}
			return of, err
		}).Should(ConsistOf(HavePrefix(names[2]+"-"), HavePrefix(names[3]+"-")))
		for n, handle := range copies {
			if _, canTell := framework.HasCopy(handle); canTell {
				Eventually(ctx, func() bool { has, _ := framework.HasCopy(handle); return has }).Should(Equal(n >= 2), names[n])
			}
		}
	})

	It("leaves a backup alone that a person keeps, and stops at what looks like a slip until it is told to go on", func(ctx SpecContext) {
		running(ctx, joined(tools("app", "", "data"), "braked"))
		p := aPolicy(ctx, "braked", "@yearly")
		var names []string
		for n := range 6 {
			names = append(names, asksForOne(ctx, p, fmt.Sprint(n)))
		}
		change(ctx, &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: names[0]}}, `{"metadata":{"annotations":{"lull.dev/keep":"true"}}}`)
		change(ctx, p, `{"spec":{"retention":{"snapshots":{"keepLast":1}}}}`)
		Eventually(ctx, func() string { return policyNow(ctx, p).Status.Message }).Should(And(
			ContainSubstring("retention would remove 4 of the 6 of Deployment app"), ContainSubstring("kubectl annotate snapshotpolicy")))
		Expect(backupsOf(p)(ctx)).To(HaveLen(6))

		_, command, _ := strings.Cut(policyNow(ctx, p).Status.Message, "(kubectl ")
		command, _, _ = strings.Cut(command, ")")
		kubectl(ctx, strings.Fields(command)...)
		Eventually(ctx, backupsOf(p)).Should(ConsistOf(HaveField("Name", names[0]), HaveField("Name", names[5])))
		Eventually(ctx, func() string { return policyNow(ctx, p).Status.Message }).Should(BeEmpty())
	})

	It("has its backups restored by its name and a moment", func(ctx SpecContext) {
		app := running(ctx, joined(tools("app", "", "data"), "restored"))
		p := aPolicy(ctx, "restored", "@yearly")
		write(ctx, app, "first", "/data/mark")
		asksForOne(ctx, p, "1")
		between := metav1.NewTime(time.Now().Add(time.Second).Truncate(time.Second))
		Eventually(ctx, time.Now).Should(BeTemporally(">", between.Time))
		write(ctx, app, "second", "/data/mark")
		asksForOne(ctx, p, "2")
		write(ctx, app, "third", "/data/mark")

		from := func(asOf *metav1.Time) *v1alpha1.VolumeRestore {
			r := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "restore-"}}
			r.Spec.Source.Policy = &v1alpha1.PolicySource{Ref: v1alpha1.LocalReference{Name: p.Name}, AsOf: asOf}
			Expect(cluster.Create(ctx, r)).To(Succeed())
			DeferCleanup(releaseKept, r)
			return theRestore(ctx, r)
		}
		Expect(from(nil)).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"second"}))
		Expect(from(&between)).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"first"}))
	})

	It("of the cluster has whom it selects in the namespaces that it selects, and not in those that say no", func(ctx SpecContext) {
		mine := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		change(ctx, mine, `{"metadata":{"labels":{"policies":"`+namespace+`"}}}`)
		running(ctx, tools("app", "", "data"))
		p := &v1alpha1.ClusterSnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		p.Spec.Schedule = "@yearly"
		p.Spec.Applications.Selector = &metav1.LabelSelector{}
		p.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"policies": namespace}}
		Expect(cluster.Create(ctx, p)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(cluster.Delete(ctx, p)).To(Succeed()) })
		count := func() (int32, error) {
			err := cluster.Get(ctx, client.ObjectKeyFromObject(p), p)
			return p.Status.ApplicationCount, err
		}
		Eventually(ctx, count).Should(BeEquivalentTo(1))
		change(ctx, p, `{"metadata":{"annotations":{"lull.dev/run-now":"1"}}}`)
		Eventually(ctx, func() ([]string, error) {
			_, err := count()
			if err != nil || p.Status.RunNow == nil {
				return nil, err
			}
			return p.Status.RunNow.Backups, nil
		}).Should(ConsistOf(HavePrefix(namespace + "/" + namespace + "-app-")))

		change(ctx, mine, `{"metadata":{"annotations":{"lull.dev/policies":"none"}}}`)
		Eventually(ctx, count).Should(BeZero())
	})
})

// copyOf is what the storage calls the copy that a backup has of its only volume.
func copyOf(ctx context.Context, namespace, name string) string {
	GinkgoHelper()
	var b v1alpha1.VolumeBackup
	Expect(cluster.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &b)).To(Succeed())
	Expect(b.Status.Volumes).To(HaveLen(1))
	var content snapshotv1.VolumeSnapshotContent
	Expect(cluster.Get(ctx, client.ObjectKey{Name: b.Status.Volumes[0].ContentName}, &content)).To(Succeed())
	Expect(content.Status.SnapshotHandle).NotTo(BeNil())
	return *content.Status.SnapshotHandle
}

// joined is an application that asks for a policy.
func joined(a framework.Application, policy string) framework.Application {
	before := a.Change
	a.Change = func(o client.Object) {
		if before != nil {
			before(o)
		}
		o.SetAnnotations(map[string]string{v1alpha1.AnnotationPolicy: policy})
	}
	return a
}

func aPolicy(ctx context.Context, name, schedule string, with ...func(*v1alpha1.SnapshotPolicy)) *v1alpha1.SnapshotPolicy {
	GinkgoHelper()
	p := &v1alpha1.SnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	p.Spec.Schedule = schedule
	for _, change := range with {
		change(p)
	}
	Expect(cluster.Create(ctx, p)).To(Succeed())
	return p
}

func policyNow(ctx context.Context, p *v1alpha1.SnapshotPolicy) *v1alpha1.SnapshotPolicy {
	GinkgoHelper()
	var found v1alpha1.SnapshotPolicy
	Expect(cluster.Get(ctx, client.ObjectKeyFromObject(p), &found)).To(Succeed())
	return &found
}

// backupsOf are those of a policy that aren't being deleted.
func backupsOf(p *v1alpha1.SnapshotPolicy) func(context.Context) ([]v1alpha1.VolumeBackup, error) {
	return func(ctx context.Context) ([]v1alpha1.VolumeBackup, error) {
		var all v1alpha1.VolumeBackupList
		err := cluster.List(ctx, &all, client.InNamespace(p.Namespace), client.MatchingLabels{v1alpha1.LabelPolicy: p.Name})
		var there []v1alpha1.VolumeBackup
		for _, b := range all.Items {
			if b.DeletionTimestamp.IsZero() {
				there = append(there, b)
			}
		}
		return there, err
	}
}

// asksForOne asks the policy for a backup of its only application, and waits
// until it is complete.
func asksForOne(ctx context.Context, p *v1alpha1.SnapshotPolicy, value string) (name string) {
	GinkgoHelper()
	Eventually(ctx, func() int32 { return policyNow(ctx, p).Status.ApplicationCount }).Should(BeEquivalentTo(1))
	change(ctx, p, `{"metadata":{"annotations":{"lull.dev/run-now":"`+value+`"}}}`)
	Eventually(ctx, func() *v1alpha1.RunNowStatus { return policyNow(ctx, p).Status.RunNow }).Should(And(
		HaveField("Value", value), HaveField("Done", true), HaveField("Backups", HaveLen(1))))
	name = policyNow(ctx, p).Status.RunNow.Backups[0]
	b := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: name}}
	Expect(theBackup(ctx, b).Status.Phase).To(Equal(v1alpha1.PhaseCompleted))
	return name
}
