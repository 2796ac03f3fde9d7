package e2e

import (
	"context"
	"os/exec"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Rights of people in the namespace.
var (
	mayRestore = rbacv1.PolicyRule{APIGroups: []string{"lull.dev"}, Resources: []string{"volumerestores"}, Verbs: []string{"create", "get", "patch"}}
	mayClaim   = rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"persistentvolumeclaims"}, Verbs: []string{"create"}}
)

func mayUpdate(kinds ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: kinds, Verbs: []string{"update"}}
}

// The roles are in force a moment after they are made.
var _ = Describe("who asks for a restore", func() {
	asked := func(with ...func(*v1alpha1.VolumeRestore)) *v1alpha1.VolumeRestore {
		r := &v1alpha1.VolumeRestore{}
		r.Namespace, r.GenerateName = namespace, "own-"
		r.Spec.Source.VolumeBackupRef = &v1alpha1.LocalReference{Name: "nobodys"}
		for _, change := range with {
			change(r)
		}
		return r
	}
	asks := func(ctx context.Context, as client.Client, with ...func(*v1alpha1.VolumeRestore)) func() error {
		return func() error { return as.Create(ctx, asked(with...)) }
	}
	claimsOnly := func(r *v1alpha1.VolumeRestore) { r.Spec.Target.Strategy = v1alpha1.StrategyClaimsOnly }
	ontoShop := onto(v1alpha1.KindDeployment, "shop")

	It("has to be allowed to update the application: nobody stops another's by a restore", func(ctx SpecContext) {
		user := aUserWhoMay(ctx, mayRestore, mayClaim)
		Eventually(ctx, asks(ctx, user, ontoShop)).Should(MatchError(And(ContainSubstring("may not update deployments/shop"), ContainSubstring("in namespace "+namespace))))
		Expect(asks(ctx, user)()).To(MatchError(And(ContainSubstring("may not update deployments in namespace"), ContainSubstring("name an application that you may update in spec.target.applicationRef"))))
		Expect(asks(ctx, user, claimsOnly)()).To(Succeed())

		By("nor by undoing one")
		others := asked(ontoShop)
		Expect(cluster.Create(ctx, others)).To(Succeed())
		undo := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"rollBack":true}}`))
		Expect(user.Patch(ctx, others, undo)).To(MatchError(ContainSubstring("may not update deployments/shop")))
	})

	It("has to be allowed to make claims", func(ctx SpecContext) {
		user := aUserWhoMay(ctx, mayRestore, mayUpdate("deployments"))
		Eventually(ctx, asks(ctx, user, ontoShop)).Should(MatchError(ContainSubstring("may not create persistentvolumeclaims")))
	})

	It("may, where both are theirs, and roll it back", func(ctx SpecContext) {
		user := aUserWhoMay(ctx, mayRestore, mayClaim, mayUpdate("deployments"))
		Eventually(ctx, asks(ctx, user, ontoShop)).Should(Succeed())
		own := asked(ontoShop)
		Expect(user.Create(ctx, own)).To(Succeed())
		Expect(user.Patch(ctx, own, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"rollBack":true}}`)))).To(Succeed())
	})
})

var _ = Describe("kubectl", func() {
	It("waits for a restore, shows where it is and explains it", func(ctx SpecContext) {
		kubectl(ctx, "version", "--client")
		app := running(ctx, tools("app", "", "data"))
		backup := theBackup(ctx, aBackup(ctx, app))
		restore := aRestore(ctx, backup, v1alpha1.StrategyAuto, called("undo-tuesday"))
		kubectl(ctx, "wait", "-n", namespace, "--for=condition=Complete", "--timeout=90s", "vr/undo-tuesday")

		lines := strings.Split(strings.TrimSpace(kubectl(ctx, "get", "vr", "-n", namespace, "-o", "wide")), "\n")
		Expect(lines).To(HaveLen(2))
		Expect(strings.Fields(lines[0])).To(Equal([]string{"NAME", "PHASE", "SOURCE", "APPLICATION", "STRATEGY", "DOWNTIME", "AGE", "MESSAGE"}))
		row := strings.Fields(lines[1])
		Expect(row[:5]).To(Equal([]string{"undo-tuesday", "Completed", backup.Name, "app", "Repoint"}))
		Expect(row[5]).To(MatchRegexp(`^[0-9.]+m?s$`))
		Expect(lines[1]).To(And(ContainSubstring("1 claim(s) from VolumeBackup "+backup.Name), ContainSubstring("spec.rollBack: true brings them back")))

		By("finding what is kept by the command that the message gives")
		Expect(theRestore(ctx, restore)).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Expect(kubectl(ctx, "get", "pv", "-o", "name", "-l", v1alpha1.LabelRestoreUID+"="+string(restore.UID))).
			To(Equal("persistentvolume/" + restore.Status.Claims[0].PreviousVolume + "\n"))

		Expect(kubectl(ctx, "explain", "vr.spec")).To(And(ContainSubstring("rollBack"), ContainSubstring("undoes the restore"), ContainSubstring("previousClaims")))
		Expect(kubectl(ctx, "explain", "vr.status.claims.previousVolume")).To(ContainSubstring("volume of the previous claim"))
	})
})

// kubectl runs it; make test-e2e puts the cluster's into PATH.
func kubectl(ctx context.Context, args ...string) string {
	GinkgoHelper()
	var complaint strings.Builder
	command := exec.CommandContext(ctx, "kubectl", args...)
	command.Stderr = &complaint
	said, err := command.Output()
	Expect(err).NotTo(HaveOccurred(), complaint.String())
	return string(said)
}
