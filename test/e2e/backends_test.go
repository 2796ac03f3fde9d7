package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("a repository on a server", func() {
	It("by REST has all of a volume, as restic alone sees it, and on one that only appends forgetting is refused", func(ctx SpecContext) {
		server := aServer(ctx, framework.RESTServer(namespace, "server", "--append-only"))
		trusted(ctx, server)
		pasted(ctx, "A [rest-server](https://github.com/restic/rest-server):\n", "backup.example.com", server.Address, trust)
		isReady(ctx, "offsite-rest")
		app := hasEverything(ctx, server, "offsite-rest")

		By("exporting twice by a policy that keeps one")
		change(ctx, app.Workload(), `{"metadata":{"annotations":{"lull.dev/policy":"exporting"}}}`)
		policy := aPolicy(ctx, "exporting", "@yearly", func(p *v1alpha1.SnapshotPolicy) {
			p.Spec.Template.Spec.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: "offsite-rest"}}
			p.Spec.Retention.Exports = &v1alpha1.RetentionRules{KeepLast: 1}
		})
		for _, n := range []string{"1", "2"} {
			theBackup(ctx, named(asksForOne(ctx, policy, n)))
		}
		change(ctx, repositoryNow(ctx, "offsite-rest"), `{"spec":{"concurrency":3}}`)
		Eventually(ctx, func() []v1alpha1.FailedTask { return repositoryNow(ctx, "offsite-rest").Status.FailedTasks }).
			Should(ConsistOf(And(HaveField("Task", "retain"), HaveField("Message", And(HavePrefix("AccessDenied"), ContainSubstring("unable to remove"))))))
		Eventually(ctx, toldOf(ctx, repositoryNow(ctx, "offsite-rest"))).Should(ContainElement(ContainSubstring("retain could not be done: AccessDenied")))
		isReady(ctx, "offsite-rest")
		Expect(strings.Fields(restic(ctx, server, "list snapshots"))).To(HaveLen(3))
		Eventually(ctx, madeForExports(ctx)).Should(ConsistOf("restored"))
	})

	It("by S3 has all of a volume, as restic alone sees it", func(ctx SpecContext) {
		server := aServer(ctx, framework.S3Server(namespace, "server"))
		trusted(ctx, server)
		pasted(ctx, "a bucket of S3, or of a server that speaks like it:\n", "s3.example.com", server.Address, trust)
		isReady(ctx, "offsite-s3")
		hasEverything(ctx, server, "offsite-s3")
	})

	It("by SFTP has all of a volume, as restic alone sees it", func(ctx SpecContext) {
		server, err := framework.SFTPServer(namespace, "server")
		Expect(err).NotTo(HaveOccurred())
		aServer(ctx, server)
		home := GinkgoT().TempDir()
		Expect(os.Mkdir(filepath.Join(home, ".ssh"), 0o700)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(home, ".ssh", "id_ed25519"), server.Key, 0o600)).To(Succeed())
		keyscan := "cd " + home + "; export HOME=" + home + "\n" +
			`ssh-keyscan() { command kubectl -n ` + namespace + ` exec deploy/server -- ssh-keyscan "$@"; }` + "\n"
		pasted(ctx, "A host with SSH, by a key without a passphrase:\n", "nas.example.com", server.Address, func(commands string) string { return keyscan + commands })
		isReady(ctx, "offsite-sftp")
		hasEverything(ctx, server, "offsite-sftp")
	})
})

// aServer starts a server and waits until it serves.
func aServer(ctx context.Context, s *framework.RepositoryServer) *framework.RepositoryServer {
	GinkgoHelper()
	Expect(cluster.StartServer(ctx, s)).To(Succeed())
	podOf(ctx, s.Application)
	return s
}

// trusted makes the Secret with the authority of the server's certificate.
func trusted(ctx context.Context, s *framework.RepositoryServer) {
	GinkgoHelper()
	ca := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "offsite-ca"}, Data: map[string][]byte{"ca.crt": s.CA}}
	Expect(cluster.Create(ctx, ca)).To(Succeed())
}

func trust(commands string) string {
	return strings.Replace(commands, "  passwordSecretRef:", "  caSecretRef: {name: offsite-ca, key: ca.crt}\n  passwordSecretRef:", 1)
}

// pasted carries out what the page says of a backend, for another address. Movers
// are privileged: they read and write every file.
func pasted(ctx context.Context, heading, host, address string, changed func(string) string) {
	GinkgoHelper()
	Expect(cluster.Merge(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, `{"metadata":{"annotations":{"lull.dev/privileged-movers":"true"}}}`)).To(Succeed())
	aPassword(ctx, "offsite-password", "secret")
	commands := changed(pageCommands("repositories.md", heading))
	Expect(commands).To(ContainSubstring(host))
	commands = strings.ReplaceAll(commands, host, address)
	typed(ctx, strings.Replace(commands, "spec:\n", "spec:\n  mover: {privileged: true}\n", 1))
}

func aPassword(ctx context.Context, secret, password string) {
	GinkgoHelper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secret}, StringData: map[string]string{"password": password}}
	Expect(cluster.Create(ctx, s)).To(Succeed())
}

// restic is what restic alone prints in the server's pod, on its repository.
func restic(ctx context.Context, s *framework.RepositoryServer, arguments string) string {
	GinkgoHelper()
	var password corev1.Secret
	Expect(cluster.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "offsite-password"}, &password)).To(Succeed())
	return sh(ctx, s.Application, s.Restic(string(password.Data["password"]), arguments))
}

// hasEverything has a volume with what is awkward about files exported and restored,
// by the operator and by restic alone, and compares.
func hasEverything(ctx context.Context, server *framework.RepositoryServer, repository string) framework.Application {
	GinkgoHelper()
	app := tools("app", "", "data")
	app.Image = framework.ServersImage()
	running(ctx, app)
	bash(ctx, app, awkward)
	b := theBackup(ctx, aBackup(ctx, app, exportedTo(repository)))
	Expect(b).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
	id := b.Status.Volumes[0].Export.SnapshotID
	want := bash(ctx, app, listing("/data"))
	for _, what := range []string{"/two", "M-^?M-~", strings.Repeat("n", 255), "4000000000:4000000001", "-3155217", "user.bytes=0x00ff0a22", "system.posix_acl_default"} {
		Expect(want).To(ContainSubstring(what))
	}

	By("restored into a new claim")
	restore := theRestore(ctx, aRestoreFrom(ctx, repository, using(v1alpha1.StrategyClaimsOnly), as("data", "restored"), func(r *v1alpha1.VolumeRestore) {
		r.Spec.Source.Repository.SnapshotID = id[:8]
	}))
	Expect(restore).To(beRestoredBy(v1alpha1.StrategyClaimsOnly))
	look := tools("look", "", "restored")
	look.Image = framework.ServersImage()
	running(ctx, look)
	Expect(bash(ctx, look, listing("/restored"))).To(Equal(want))
	Expect(sh(ctx, look, "stat -c '%a %u:%g' /restored")).To(Equal("2751 999:998"))
	Expect(sh(ctx, look, "find /restored/holes -size +99M; find /restored/holes -printf '%b'")).To(MatchRegexp(`^/restored/holes\n\d{1,4}$`), "of 100 MiB the holes take no block of 512 bytes")

	By("restored by restic alone")
	restic(ctx, server, "restore "+id+" --target=/tmp/restored")
	Expect(bash(ctx, server.Application, listing("/tmp/restored"))).To(Equal(want))
	restic(ctx, server, "check --read-data")
	Eventually(ctx, madeForExports(ctx)).Should(ConsistOf("restored"))
	return app
}

func bash(ctx context.Context, app framework.Application, script string) string {
	GinkgoHelper()
	text, err := cluster.Run(ctx, podOf(ctx, app), "", "bash", "-ec", script)
	Expect(err).NotTo(HaveOccurred())
	return text
}

// awkward makes files whose content, names, owners, modes, times, links, attributes
// and holes are hard to keep.
const awkward = `cd /data
mkdir -p names modes links folder/below
for name in $'two\nlines' $'\x01\x1b\t' $'\xff\xfe' "$(printf 'n%.0s' {1..255})" ' ' '**' '--delete' 'a\b' '$(reboot)' "'" '🦉'; do
  echo "$name" >"names/$name"
done
for mode in 0000 0400 0640 0777 1644 2755 4711; do
  echo $mode >modes/$mode
  chown 1234:$((10#$mode)) modes/$mode
  chmod $mode modes/$mode
done
chown 4000000000:4000000001 modes/0640
echo linked >links/first
ln links/first links/second
ln links/first folder/third
ln -s ../names/none links/dangling
ln -s "$(printf '%.0s./' {1..500})first" links/long
chown -h 77:78 links/dangling
touch -h -d '2001-02-03 04:05:06.123456789' links/dangling
mkfifo links/fifo
mknod links/device c 1 3
: >empty
head -c 3000000 /dev/urandom >random
truncate -s 100M holes
printf end | dd of=holes bs=1 seek=50000000 conv=notrunc status=none
setfattr -n user.empty empty
setfattr -n user.bytes -v 0x00ff0a22 random
setfattr -n user.folder -v kept folder
setfacl -m u:1000:r,g:2000:rw random
setfacl -d -m u:1000:rx folder
touch -d '1960-01-02 03:04:05.5' empty
touch -d '2100-01-01' random
chmod 1770 folder/below
chown 5:6 folder
chown 999:998 .
chmod 2751 .
touch -d '1999-12-31 23:59:59.999999999' folder/below folder names .
sync
`

// listing is all that there is to compare of the files below a folder.
func listing(folder string) string {
	return "cd " + folder + `; export LC_ALL=C
all() { find . -path ./lost+found -prune -o "$@"; }
{
  all -mindepth 1 -printf '%p %y %m %U:%G %T@ %n %l\0'
  all -type f -printf '%p %s bytes\0'
  all -type f -print0 | xargs -0 sha256sum -z
  all -samefile links/first -printf '%p is linked\0'
  all -type c -print0 | xargs -0 stat --printf '%n %t:%T\0'
} | sort -z | tr '\0' '\n' | cat -v
all -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex
`
}
