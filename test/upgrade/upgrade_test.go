package upgrade

import (
	"context"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

const (
	// frozenFor is the longest that a backup may keep its application frozen, and
	// ownLimit what its hold, its post-hook and its watchman may add to that.
	frozenFor = 60 * time.Second
	ownLimit  = 15 * time.Second

	// journal has a line for each begin and end of a freeze, with the second.
	journal = "/data/journal"
	freeze  = `echo "freeze $(date +%s)" >>` + journal
	thaw    = `echo "thaw $(date +%s)" >>` + journal
	hold    = freeze + "; echo HELD; timeout 65 cat >/dev/null && held=1; " + thaw + `; [ ! "$held" ] || echo STILL_HELD`
)

var _ = Describe("an upgrade", Ordered, func() {
	DescribeTable("has all that is under way come to its end",
		func(ctx SpecContext, first, last func(version) version) {
			before, after := the("before"), the("after")
			before.isAlone(ctx, after)
			DeferCleanup(func(ctx SpecContext) { after.apply(ctx); after.works(ctx) })
			namespace := aNamespace(ctx)
			held, paired, moved := anApplication(ctx, namespace, "held"), anApplication(ctx, namespace, "paired"), anApplication(ctx, namespace, "moved")
			slow := framework.OfClass(aSlowClass(ctx))

			By("what the version before has done, and has under way")
			writes(ctx, moved, "old")
			old := theBackup(ctx, aBackup(ctx, moved, framework.Hold(hold)))
			writes(ctx, moved, "new")
			restore := aRestore(ctx, old)
			heldBackup := aBackup(ctx, held, framework.Hold(hold), framework.Within(frozenFor), slow)
			pairedBackup := aBackup(ctx, paired, framework.Hooks(freeze, thaw), framework.Within(frozenFor), slow)
			Eventually(ctx, journalOf(ctx, held)).Should(HavePrefix("freeze"))
			Eventually(ctx, journalOf(ctx, paired)).Should(HavePrefix("freeze"))

			By("the upgrade")
			first(after).apply(ctx)
			Expect(framework.BackupEnded(now(ctx, heldBackup)) || framework.RestoreEnded(now(ctx, restore))).To(BeFalse(), "both are under way")
			after.works(ctx)
			Expect(theBackup(ctx, heldBackup).Status.Consistency).To(Equal(v1alpha1.Proven))
			Expect(theBackup(ctx, pairedBackup).Status.Consistency).To(Equal(v1alpha1.Declared))
			isRestored(ctx, restore, v1alpha1.RestoreCompleted)
			Expect(noteOf(ctx, moved)()).To(Equal("old"))
			last(after).apply(ctx)
			for _, app := range []framework.Application{held, paired} {
				isNeverFrozenForLong(journalOf(ctx, app)())
			}

			By("what is there from before is used, and undone")
			Expect(cluster.Merge(ctx, restore, `{"spec":{"rollBack":true}}`)).To(Succeed())
			isRestored(ctx, restore, v1alpha1.RestoreRolledBack)
			Eventually(ctx, noteOf(ctx, moved)).Should(Equal("new"))
			isRestored(ctx, aRestore(ctx, old), v1alpha1.RestoreCompleted)
			Eventually(ctx, noteOf(ctx, moved)).Should(Equal("old"))
			Expect(theBackup(ctx, aBackup(ctx, moved, framework.Hold(hold))).Status.Consistency).To(Equal(v1alpha1.Proven))
		},
		Entry("with the CRDs first", func(v version) version { return append(v.only(isCRD), v.only(isElse)...) }, func(version) version { return nil }, SpecTimeout(15*time.Minute)),
		Entry("with the CRDs last", func(v version) version { return v.only(isElse) }, func(v version) version { return v.only(isCRD) }, SpecTimeout(15*time.Minute)),
	)
})

// anApplication takes a while to be ready: a restore of it is under way for as long.
func anApplication(ctx context.Context, namespace, name string) framework.Application {
	GinkgoHelper()
	app := framework.Tools(namespace, name, "sleep 20 & wait; : >/tmp/started", name)
	app.Folder = "/data"
	app.Started = framework.UntilStarted("/bin/sh", "-c", "[ -e /tmp/started ]")
	Expect(cluster.Start(ctx, app)).To(Succeed())
	return app
}

func aBackup(ctx context.Context, app framework.Application, changes ...framework.Change) *v1alpha1.VolumeBackup {
	GinkgoHelper()
	b := framework.NewBackup(app.Namespace, app.Ref(), changes...)
	Expect(cluster.Create(ctx, b)).To(Succeed())
	return b
}

// theBackup is the backup at its end, which is a good one.
func theBackup(ctx context.Context, b *v1alpha1.VolumeBackup) *v1alpha1.VolumeBackup {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		g.Expect(framework.BackupEnded(now(ctx, b))).To(BeTrue(), "phase %s: %s", b.Status.Phase, b.Status.Message)
	}).Should(Succeed())
	Expect(b.Status.Phase).To(Equal(v1alpha1.PhaseCompleted), b.Status.Message)
	return b
}

func aRestore(ctx context.Context, of *v1alpha1.VolumeBackup) *v1alpha1.VolumeRestore {
	GinkgoHelper()
	r := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Namespace: of.Namespace, GenerateName: "restore-"}}
	r.Spec.Source.VolumeBackupRef = &v1alpha1.LocalReference{Name: of.Name}
	Expect(cluster.Create(ctx, r)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(cluster.ReleaseKept(ctx, r)).To(Succeed()) })
	return r
}

func isRestored(ctx context.Context, r *v1alpha1.VolumeRestore, phase v1alpha1.RestorePhase) {
	GinkgoHelper()
	Eventually(ctx, func() v1alpha1.RestorePhase { return now(ctx, r).Status.Phase }).Should(Equal(phase), "%s", r.Status.Message)
}

// now is an object as it is at this moment.
func now[T client.Object](ctx context.Context, o T) T {
	GinkgoHelper()
	Expect(cluster.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
	return o
}

func writes(ctx context.Context, app framework.Application, note string) {
	GinkgoHelper()
	Eventually(ctx, said(ctx, app, "echo "+note+" >/data/note; sync; cat /data/note")).Should(Equal(note))
}

func noteOf(ctx context.Context, app framework.Application) func() string {
	return said(ctx, app, "cat /data/note")
}

func journalOf(ctx context.Context, app framework.Application) func() string {
	return said(ctx, app, "cat "+journal)
}

// said is what a line of shell prints in the application, empty where it can't be run.
func said(ctx context.Context, app framework.Application, line string) func() string {
	return func() string {
		pods, err := cluster.ReadyPods(ctx, app)
		if err != nil {
			return ""
		}
		text, _ := cluster.Sh(ctx, &pods[0], line)
		return strings.TrimSpace(text)
	}
}

// isNeverFrozenForLong wants a thaw in time after each freeze of a journal, the first of
// several. It may be thawed more than once.
func isNeverFrozenForLong(journal string) {
	GinkgoHelper()
	var since int
	for line := range strings.Lines(journal) {
		what, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		second, err := strconv.Atoi(text)
		Expect(err).NotTo(HaveOccurred(), journal)
		switch {
		case what == "freeze" && since == 0:
			since = second
		case what == "thaw" && since > 0:
			Expect(second-since).To(BeNumerically("<=", (frozenFor+ownLimit).Seconds()), journal)
			since = 0
		}
	}
	Expect(journal).To(MatchRegexp(`thaw \d+$`), "it isn't frozen at the end")
}
