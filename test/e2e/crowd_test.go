package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// Claims by themselves, without pods: a node has room for no more than 110.
var _ = Describe("forty applications of one policy", func() {
	It("are exported four at a time: none fails, each says what it waits for, and none is cloned long before its turn", func(ctx SpecContext) {
		const many, together = 40, 4
		theSample(ctx, "offsite-repository.yaml")
		Expect(repositoryNow(ctx, "offsite").Spec.Concurrency).To(BeEquivalentTo(together))
		isReady(ctx, "offsite")
		aCrowdOfClaims(ctx, many)
		policy := aPolicy(ctx, "crowd", "@yearly", func(p *v1alpha1.SnapshotPolicy) {
			p.Spec.Applications.ClaimSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"of": "the-crowd"}}
			p.Spec.Template.Spec.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: "offsite"}}
		})
		Eventually(ctx, func() int32 { return policyNow(ctx, policy).Status.ApplicationCount }).Should(BeEquivalentTo(many))
		manager, seen := theManager(ctx), aWatchOnExports(ctx)
		memory := theMemoryOf(ctx, manager)

		began := time.Now()
		change(ctx, policy, `{"metadata":{"annotations":{"lull.dev/run-now":"1"}}}`)
		Eventually(ctx, seen.figures).Should(HaveField("Waiting", BeNumerically(">=", many/2)), "most wait, and say for what")
		Eventually(ctx, func() ([]v1alpha1.VolumeBackup, error) {
			memory.look(ctx)
			return backupsOf(policy)(ctx)
		}).WithTimeout(8 * time.Minute).WithPolling(time.Second).Should(And(HaveLen(many), HaveEach(HaveField("Status.CompletionTime", Not(BeNil())))))
		figures := seen.figures()
		AddReportEntry("forty exports", fmt.Sprintf("%s; at once at most %d movers and %d clones; the manager had %.0f MiB",
			time.Since(began).Round(time.Second), figures.Movers, figures.Clones, memory.most/(1<<20)), ReportEntryVisibilityAlways)
		Expect(backupsOf(policy)(ctx)).To(And(HaveLen(many), HaveEach(And(
			HaveField("Status.Phase", v1alpha1.PhaseCompleted), HaveField("Status.Exported", "1/1")))))
		Expect(figures.Movers).To(Equal(together))
		Expect(figures.Clones).To(BeNumerically("<", many/2), "of those that are exported, and of a few that are about to be or were")
		Expect(figures.Silent).To(BeEmpty(), "each says what it waits for")
		Expect(memory.most).To(BeNumerically("<", manager.Spec.Containers[0].Resources.Limits.Memory().AsApproximateFloat64()))
		Expect(theManager(ctx)).To(And(HaveField("UID", manager.UID), HaveField("Status.ContainerStatuses", ConsistOf(HaveField("RestartCount", manager.Status.ContainerStatuses[0].RestartCount)))))
		Eventually(ctx, madeForExports(ctx)).Should(BeEmpty())
	})
})

// aCrowdOfClaims are that many claims, each with a file in it, and nothing that
// mounts them.
func aCrowdOfClaims(ctx context.Context, many int) {
	GinkgoHelper()
	var names []string
	for n := range many {
		claim := framework.Claim(namespace, fmt.Sprintf("crowd-%02d", n))
		claim.Labels = map[string]string{"of": "the-crowd"}
		Expect(cluster.Create(ctx, claim)).To(Succeed())
		names = append(names, claim.Name)
	}
	filler := tools("filler", "for claim in /crowd-*; do head -c 100000 /dev/urandom >$claim/file; done; sync; touch /tmp/filled", names...)
	filler.Kind = v1alpha1.KindPod
	running(ctx, filler)
	Eventually(ctx, func() (string, error) { return cluster.Sh(ctx, podOf(ctx, filler), "ls /tmp") }).Should(Equal("filled"))
	Expect(cluster.Delete(ctx, filler.Workload())).To(Succeed())
	gone(ctx, filler.Workload())
}

// exportsSeen is what a watch has seen of the exports of a namespace.
type exportsSeen struct {
	mu sync.Mutex
	// movers are made and haven't ended, and clones are there.
	movers, clones atOnce
	// waiting are the backups that wait for room now, and silent what those said that
	// didn't say what they wait for, or do.
	waiting map[string]bool
	silent  []string
}

// atOnce are things of which there are several at a time.
type atOnce struct {
	now  map[types.UID]bool
	most int
}

func (a *atOnce) note(o client.Object, isThere bool) {
	if a.now == nil {
		a.now = map[types.UID]bool{}
	}
	if isThere {
		a.now[o.GetUID()] = true
	} else {
		delete(a.now, o.GetUID())
	}
	a.most = max(a.most, len(a.now))
}

// aWatchOnExports watches movers, clones and backups until the spec ends.
func aWatchOnExports(ctx context.Context) *exportsSeen {
	GinkgoHelper()
	seen := &exportsSeen{waiting: map[string]bool{}}
	follow(ctx, &corev1.PodList{}, seen.pod)
	follow(ctx, &corev1.PersistentVolumeClaimList{}, seen.claim)
	follow(ctx, &v1alpha1.VolumeBackupList{}, seen.backup)
	return seen
}

func follow[T client.Object](ctx context.Context, of client.ObjectList, see func(o T, isThere bool)) {
	GinkgoHelper()
	watched, err := cluster.Watch(context.WithoutCancel(ctx), of, client.InNamespace(namespace))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(watched.Stop)
	go func() {
		for event := range watched.ResultChan() {
			if o, is := event.Object.(T); is {
				see(o, event.Type != watch.Deleted)
			}
		}
	}()
}

// pod counts the movers of claims. A look at the repository is of none.
func (s *exportsSeen) pod(pod *corev1.Pod, isThere bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pod.Labels[v1alpha1.LabelClaim] != "" {
		s.movers.note(pod, isThere && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed)
	}
}

func (s *exportsSeen) claim(claim *corev1.PersistentVolumeClaim, isThere bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if claim.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy {
		s.clones.note(claim, isThere)
	}
}

func (s *exportsSeen) backup(b *v1alpha1.VolumeBackup, _ bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, b.Name)
	if b.Status.Phase != v1alpha1.PhaseExporting {
		return
	}
	says := b.Status.Message
	if strings.Contains(says, "waits for its turn: 4 work in repository offsite") {
		s.waiting[b.Name] = true
	}
	for _, word := range []string{"4 work in repository offsite", "its pod starts", "doesn't start: ", "is exported", "removes what"} {
		if strings.Contains(says, word) {
			return
		}
	}
	s.silent = append(s.silent, fmt.Sprintf("%s: %q", b.Name, says))
}

// exportsFigures are what was seen so far.
type exportsFigures struct {
	Movers, Clones int // at once, at most
	Waiting        int // for room, now
	Silent         []string
}

func (s *exportsSeen) figures() exportsFigures {
	s.mu.Lock()
	defer s.mu.Unlock()
	return exportsFigures{Movers: s.movers.most, Clones: s.clones.most, Waiting: len(s.waiting), Silent: slices.Clone(s.silent)}
}

// memoryOf is the most memory that a manager was seen to have, in bytes.
type memoryOf struct {
	*framework.Scraper
	most float64
}

func theMemoryOf(ctx context.Context, manager *corev1.Pod) *memoryOf {
	GinkgoHelper()
	scraper, err := cluster.Scrape(ctx, manager, namespace)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(scraper.Close)
	return &memoryOf{Scraper: scraper}
}

func (m *memoryOf) look(ctx context.Context) {
	GinkgoHelper()
	metrics, err := m.Read(ctx)
	Expect(err).NotTo(HaveOccurred())
	m.most = max(m.most, metrics.Sum("process_resident_memory_bytes", ""))
}
