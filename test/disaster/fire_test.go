package disaster

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

const (
	// shop is the namespace in the lost cluster, anew the one in the other.
	shop, anew = "shop", "shop-anew"
	data       = "mariadb-data"
	password   = "kept where no cluster is"
	login      = "of-the-server"
)

var _ = Describe("a database whose cluster is lost", Ordered, func() {
	var (
		server        *framework.HostRESTServer
		writer        *framework.Writer
		repositoryID  string
		first, second exported
	)

	BeforeAll(func(ctx SpecContext) {
		connect(ctx)
		address, err := cluster.OwnAddress(ctx)
		Expect(err).NotTo(HaveOccurred())
		server, err = framework.StartHostRESTServer(os.Getenv("REST_SERVER"), address, url.UserPassword("shop", login), func() {})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(server.Stop)
		DeferCleanup(removeNamespaces)
	})

	It("is in a repository that the cluster doesn't hold, backed up by a policy while it was written to", func(ctx SpecContext) {
		aNamespace(ctx, shop)
		offsite := aRepositoryAsThePageSays(ctx, server)
		isReady(ctx, offsite)
		repositoryID = offsite.Status.RepositoryID
		var err error
		writer, err = cluster.MariaDBIn(running(ctx, aMariaDB(shop))).StartWriter(context.WithoutCancel(ctx))
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, writer.Rows).Should(BeNumerically(">", 100))
		policy := aPolicy(ctx, shop, offsite.Name, 2)
		first = whileWritten(ctx, aRun(ctx, policy, "1"), writer)
		second = whileWritten(ctx, aRun(ctx, policy, "2"), writer)
		Expect(first.committed).To(And(BeNumerically(">=", 100), BeNumerically("<", second.committed)))
	}, SpecTimeout(5*time.Minute))

	It("is gone with all that the cluster knew", func(ctx SpecContext) {
		Expect(writer.Err()).NotTo(HaveOccurred(), "it is written to until the fire")
		loseTheCluster(ctx)
		writer.Stop()
		Expect(writer.Rows()).To(BeNumerically(">", second.committed))
		var backups v1alpha1.VolumeBackupList
		Expect(cluster.List(ctx, &backups)).To(Succeed())
		Expect(backups.Items).To(BeEmpty())
		var volumes corev1.PersistentVolumeList
		Expect(cluster.List(ctx, &volumes)).To(Succeed())
		Expect(volumes.Items).To(BeEmpty())
		Expect(server.WhyEnded()).To(Succeed())
	}, SpecTimeout(10*time.Minute))

	It("comes back in another namespace, by nothing but the repository and what the page says", func(ctx SpecContext) {
		steps, err := framework.PageBlocks("repositories.md", "## When the cluster is lost", "sh")
		Expect(err).NotTo(HaveOccurred())
		Expect(steps).To(HaveLen(3))
		by := aPerson(server.URL)

		By("opening the repository")
		by.types(ctx, steps[0])
		offsite := now(ctx, &v1alpha1.ResticRepository{ObjectMeta: in(anew, "offsite")})
		Expect(offsite.Status.RepositoryID).To(Equal(repositoryID))
		Expect(by.types(ctx, steps[1])).To(Equal(fmt.Sprintf("2 snapshots, the newest of %s, of [%q]\n", second.cutAt(), shop+"/mariadb")))

		By("starting the database, and restoring it")
		db := aMariaDB(anew)
		running(ctx, db)
		Expect(by.types(ctx, steps[2])).To(HaveSuffix(fmt.Sprintf("%s as it was at %s\n", data, second.cutAt())))
		restore := theRestore(ctx, &v1alpha1.VolumeRestore{ObjectMeta: in(anew, "after-the-fire")})
		DeferCleanup(func(ctx SpecContext) { Expect(cluster.ReleaseKept(ctx, restore)).To(Succeed()) })
		Expect(restore.Status.Found.BackupUID).To(Equal(second.backup.UID))
		holds(ctx, db, second)
	}, SpecTimeout(5*time.Minute))

	It("comes back as it was before, in claims for which there is no application", func(ctx SpecContext) {
		at := metav1.NewTime(first.backup.Status.Quiesce.CutAt.Time)
		restore := &v1alpha1.VolumeRestore{ObjectMeta: in(anew, "before")}
		restore.Spec.Source.Repository = &v1alpha1.RepositorySource{Ref: v1alpha1.RepositoryReference{Name: "offsite"}, Application: shop + "/mariadb", AsOf: &at}
		restore.Spec.Target.Strategy = v1alpha1.StrategyClaimsOnly
		restore.Spec.Target.Claims = map[string]v1alpha1.ClaimName{data: "data-before"}
		restore.Spec.Target.Size = ptr.To(resource.MustParse("512Mi"))
		Expect(cluster.Create(ctx, restore)).To(Succeed())
		Expect(theRestore(ctx, restore).Status.Found.BackupUID).To(Equal(first.backup.UID))
		db := framework.MariaDB(anew, "before", "data-before")
		running(ctx, db)
		holds(ctx, db, first)
	}, SpecTimeout(5*time.Minute))

	It("is backed up on by its policy, whose retention leaves what the lost cluster has exported", func(ctx SpecContext) {
		policy := aPolicy(ctx, anew, "offsite", 1)
		aRun(ctx, policy, "1")
		newest := exported{backup: aRun(ctx, policy, "2")}

		offsite := &v1alpha1.ResticRepository{ObjectMeta: in(anew, "offsite")}
		change(ctx, offsite, `{"spec":{"concurrency":3}}`) // it is looked at, once it is edited
		Eventually(ctx, func() *metav1.Time { return now(ctx, offsite).Status.LastRetentionTime }).ShouldNot(BeNil())
		Eventually(ctx, func() int32 { return now(ctx, offsite).Status.Snapshots }).Should(BeEquivalentTo(3), "two of the lost cluster, and one that is kept here")
		Expect(offsite.Status.Contents.Hosts).To(ConsistOf(shop+"/mariadb", anew+"/mariadb"))
		Expect(offsite.Status.Contents.NewestTime.UTC().Format(time.RFC3339)).To(Equal(newest.cutAt()))
	}, SpecTimeout(5*time.Minute))
})

func in(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func aNamespace(ctx context.Context, name string) {
	GinkgoHelper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{v1alpha1.AnnotationPrivilegedMovers: "true"}}}
	Expect(cluster.Create(ctx, ns)).To(Succeed())
}

// removeNamespaces leaves a cluster as it is after it has come up.
func removeNamespaces(ctx SpecContext) {
	for _, name := range []string{shop, anew} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		Expect(client.IgnoreNotFound(cluster.Delete(ctx, ns))).To(Succeed())
		Eventually(ctx, func() error { return cluster.Get(ctx, client.ObjectKeyFromObject(ns), ns) }).Should(MatchError(apierrors.IsNotFound, "IsNotFound"))
	}
}

// aMariaDB asks for the policy.
func aMariaDB(namespace string) framework.Application {
	db := framework.MariaDB(namespace, "mariadb", data)
	db.Annotations = map[string]string{v1alpha1.AnnotationQuiesce: "mariadb"}
	db.Change = func(o client.Object) { o.SetAnnotations(map[string]string{v1alpha1.AnnotationPolicy: "nightly"}) }
	return db
}

// aRepositoryAsThePageSays is that of the page's rest-server.
func aRepositoryAsThePageSays(ctx context.Context, server *framework.HostRESTServer) *v1alpha1.ResticRepository {
	GinkgoHelper()
	secret := &corev1.Secret{ObjectMeta: in(shop, "offsite-password"), StringData: map[string]string{"password": password}}
	Expect(cluster.Create(ctx, secret)).To(Succeed())
	blocks, err := framework.PageBlocks("repositories.md", "## Where it can be", "sh")
	Expect(err).NotTo(HaveOccurred())
	for _, block := range blocks {
		if strings.Contains(block, "name: offsite-rest\n") {
			aPerson(server.URL).types(ctx, "kubectl() { command kubectl -n "+shop+` "$@"; }`+"\n"+block)
		}
	}
	r := &v1alpha1.ResticRepository{ObjectMeta: in(shop, "offsite-rest")}
	change(ctx, r, `{"spec":{"mover":{"privileged":true}}}`)
	return r
}

// aPolicy keeps that many of its exports.
func aPolicy(ctx context.Context, namespace, repository string, keeps int32) *v1alpha1.SnapshotPolicy {
	GinkgoHelper()
	p := &v1alpha1.SnapshotPolicy{ObjectMeta: in(namespace, "nightly")}
	p.Spec.Schedule = "@yearly"
	p.Spec.Template.Spec.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: repository}}
	p.Spec.Retention.Exports = &v1alpha1.RetentionRules{KeepLast: keeps}
	Expect(cluster.Create(ctx, p)).To(Succeed())
	Eventually(ctx, func() int32 { return now(ctx, p).Status.ApplicationCount }).Should(BeEquivalentTo(1))
	return p
}
