package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("the check of a hold", func() {
	It("tells how a hold ends, and what is wrong with it", func(ctx SpecContext) {
		app := running(ctx, annotated(tools("app", "", "data"),
			"lull.dev/hold-hook", "touch /data/pause; echo HELD; timeout 4 cat >/dev/null && echo STILL_HELD; rm /data/pause"))
		pod := podOf(ctx, app)
		check := []string{"/manager", "hold-check", "-n", namespace, "--timeout", "3s", "pod/" + pod.Name}
		Expect(cluster.Run(ctx, theManager(ctx), "manager", check...)).To(And(
			MatchRegexp(`released: +HELD after .+, ended after .+ with STILL_HELD\n`),
			MatchRegexp(`client killed: +HELD after .+, ended after \S+\n`),
			MatchRegexp(`left alone: +HELD after .+, ended after [34](\.\d+)?s\n`),
			ContainSubstring("as it should be"), Not(ContainSubstring("left:"))))
		_, err := cluster.Sh(ctx, pod, "test ! -e /data/pause")
		Expect(err).NotTo(HaveOccurred())
	})
})
