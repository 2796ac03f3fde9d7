package integration

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestBadRepositoriesAreRefusedBySayingWhatToWrite(t *testing.T) {
	fc := aFakeCluster(t)
	const oneOf = "write exactly one of s3, azure, gcs, b2, swift, rest, sftp and volume"
	for name, c := range map[string]struct{ backend, says string }{
		"no backend":             {`{}`, oneOf},
		"two backends":           {`{rest: {url: "https://a"}, volume: {claimName: disk}}`, oneOf},
		"a URL of restic's":      {`{rest: {url: "rest:https://backup:8000/"}}`, "write a URL, as https://backup.example.com:8000/shop"},
		"a password in the URL":  {`{rest: {url: "https://me:secret@backup:8000/"}}`, "a URL has no user and password in it"},
		"a query in the URL":     {`{rest: {url: "https://backup/?x=1"}}`, "write a URL"},
		"a line break in it":     {`{rest: {url: "https://backup/\n--insecure-tls"}}`, "write a URL"},
		"a bucket in the server": {`{s3: {endpoint: "https://minio:9000/bucket", bucket: b}}`, "write the server alone"},
		"a server without https": {`{s3: {endpoint: "minio:9000", bucket: b}}`, "write the server alone"},
		"no bucket":              {`{s3: {bucket: ""}}`, "at least 1 chars long"},
		"a path as a bucket":     {`{s3: {bucket: b/prod}}`, "write the name of the bucket or container alone"},
		"a region of two words":  {`{s3: {bucket: b, region: "eu 1"}}`, "write the name of a region"},
		"a prefix that climbs":   {`{gcs: {bucket: b, prefix: a/../../c}}`, "with a slash between its parts"},
		"a prefix with slashes":  {`{b2: {bucket: b, prefix: /a/}}`, "with a slash between its parts"},
		"an option as a host":    {`{sftp: {host: "-oProxyCommand=sh", user: me, path: /srv}}`, "write the name or the address of the host alone"},
		"a user in the host":     {`{sftp: {host: "me@backup", user: me, path: /srv}}`, "write the name or the address of the host alone"},
		"an option as a user":    {`{sftp: {host: backup, user: "-l", path: /srv}}`, "write the name of the user alone"},
		"a path with spaces":     {`{sftp: {host: backup, user: me, path: "/srv/my backups"}}`, "write a path of letters"},
		"a port beyond":          {`{sftp: {host: backup, user: me, path: /srv, port: 70000}}`, "less than or equal to 65535"},
		"a path that climbs":     {`{volume: {claimName: disk, path: ..}}`, "with a slash between its parts"},
		"an option string":       {`{s3: {bucket: b, options: "s3.layout=default"}}`, `unknown field "spec.backend.s3.options"`},
	} {
		_, err := fc.createAs(admin, "ResticRepository", `{passwordSecretRef: {name: p}, backend: `+c.backend+`}`, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: should say %q: %v", name, c.says, err)
		}
	}
	for _, backend := range []string{
		`{s3: {bucket: backups}}`,
		`{s3: {endpoint: "http://minio.storage:9000", bucket: backups, prefix: prod/shop, region: eu-central-1}}`,
		`{s3: {endpoint: "https://[2001:db8::1]:9000/", bucket: my.backups}}`,
		`{azure: {container: backups, prefix: prod}}`, `{gcs: {bucket: backups}}`, `{b2: {bucket: backups}}`, `{swift: {container: backups}}`,
		`{rest: {url: "https://backup.example.com:8000/shop/"}}`, `{rest: {url: "http://10.0.0.1:8000"}}`,
		`{sftp: {host: backup.example.com, user: lull, path: /srv/backups, port: 2222}}`, `{sftp: {host: "2001:db8::1", user: lull, path: backups}}`,
		`{volume: {claimName: disk}}`, `{volume: {claimName: disk, path: a/b}}`,
	} {
		if _, err := fc.createAs(admin, "ResticRepository", `{passwordSecretRef: {name: p}, backend: `+backend+`}`, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", backend, err)
		}
	}
}

func TestBadMaintenanceIsRefusedBySayingWhatToWrite(t *testing.T) {
	fc := aFakeCluster(t)
	const rest = `backend: {volume: {claimName: disk}}, passwordSecretRef: {name: p}`
	for maintenance, says := range map[string]string{
		`{prune: {}}`:                                      "schedule: Required value",
		`{prune: {schedule: "0 0 4 * * 0"}}`:               "write 0 4 * * 0",
		`{check: {schedule: "@weekly", readData: 5}}`:      "readData",
		`{check: {schedule: "@weekly", readData: "0%"}}`:   "from 1% to 100%",
		`{check: {schedule: "@weekly", readData: "101%"}}`: "from 1% to 100%",
		`{forget: {schedule: "@weekly"}}`:                  `unknown field "spec.maintenance.forget"`,
	} {
		_, err := fc.createAs(admin, "ResticRepository", `{`+rest+`, maintenance: `+maintenance+`}`, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s should say %q: %v", maintenance, says, err)
		}
	}
	const good = `{prune: {schedule: "0 4 * * 0"}, check: {schedule: "@every 24h", readData: "5%"}}`
	if _, err := fc.createAs(admin, "ResticRepository", `{`+rest+`, maintenance: `+good+`}`, client.DryRunAll); err != nil {
		t.Error(err)
	}
}

func TestABadSecondCopyIsRefusedBySayingWhatToWrite(t *testing.T) {
	fc := aFakeCluster(t)
	const rest = `backend: {volume: {claimName: disk}}, passwordSecretRef: {name: p}`
	for copyTo, says := range map[string]string{
		`[{}]`: "repositoryRef: Required value",
		`[{repositoryRef: {name: b}}, {repositoryRef: {name: b}}]`: "name each repository once in spec.copyTo",
		`[{repositoryRef: {name: other/b}}]`:                       "write the name of the ResticRepository alone",
		`[{repositoryRef: {name: b, namespace: other}}]`:           `unknown field "spec.copyTo[0].repositoryRef.namespace"`,
		`[{repositoryRef: {name: b}}, {repositoryRef: {name: c}}, {repositoryRef: {name: d}}, {repositoryRef: {name: e}}, {repositoryRef: {name: f}}]`: "must have at most 4 items",
	} {
		_, err := fc.createAs(admin, "ResticRepository", `{`+rest+`, copyTo: `+copyTo+`}`, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s should say %q: %v", copyTo, says, err)
		}
	}
	written, err := fc.createAs(admin, "ResticRepository", `{`+rest+`, copyTo: [{repositoryRef: {name: b}}, {repositoryRef: {name: c}}]}`)
	fc.must(err)
	itself := []any{map[string]any{"repositoryRef": map[string]any{"name": written.GetName()}}}
	fc.must(unstructured.SetNestedSlice(written.Object, itself, "spec", "copyTo"))
	refusedBecause(t, admin.Update(fc.ctx, written), "a repository isn't copied to itself")
}

func TestAMoversSecurityContextThatCanRaiseRightsIsRefusedBySayingWhatToWrite(t *testing.T) {
	fc := aFakeCluster(t)
	const rest = `backend: {volume: {claimName: disk}}, passwordSecretRef: {name: p}`
	for mover, says := range map[string]string{
		`{securityContext: {runAsUser: 0}}`:                                          "write spec.mover.privileged: true for a mover that is root",
		`{securityContext: {runAsUser: -1}}`:                                         "a number from 0 to 2147483647",
		`{securityContext: {runAsGroup: 2147483648}}`:                                "a number from 0 to 2147483647",
		`{securityContext: {runAsUser: 999, fsGroup: 999}}`:                          "belong into supplementalGroups",
		`{securityContext: {fsGroupChangePolicy: Always}}`:                           "leave fsGroup and fsGroupChangePolicy out",
		`{securityContext: {runAsNonRoot: false}}`:                                   "write runAsUser, runAsGroup and supplementalGroups alone",
		`{securityContext: {seccompProfile: {type: Unconfined}}}`:                    "write runAsUser, runAsGroup and supplementalGroups alone",
		`{securityContext: {seLinuxOptions: {type: spc_t}}}`:                         "write runAsUser, runAsGroup and supplementalGroups alone",
		`{securityContext: {sysctls: [{name: kernel.shm_rmid_forced, value: "0"}]}}`: "write runAsUser, runAsGroup and supplementalGroups alone",
		`{securityContext: {privileged: true}}`:                                      `unknown field "spec.mover.securityContext.privileged"`,
		`{privileged: true, securityContext: {runAsUser: 999}}`:                      "a privileged mover is root",
	} {
		_, err := fc.createAs(admin, "ResticRepository", `{`+rest+`, mover: `+mover+`}`, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s should say %q: %v", mover, says, err)
		}
	}
	const good = `{securityContext: {runAsUser: 999, runAsGroup: 999, supplementalGroups: [0, 2000]}}`
	if _, err := fc.createAs(admin, "ResticRepository", `{`+rest+`, mover: `+good+`}`, client.DryRunAll); err != nil {
		t.Error(err)
	}
}

func TestABadCacheIsRefusedBySayingWhatToWrite(t *testing.T) {
	fc := aFakeCluster(t)
	const rest = `backend: {volume: {claimName: disk}}, passwordSecretRef: {name: p}`
	for cache, says := range map[string]string{
		`{}`:                                "size: Required value",
		`{size: "0"}`:                       "write the size of a volume, as 10Gi",
		`{size: -1Gi}`:                      "write the size of a volume, as 10Gi",
		`{size: ten}`:                       "size",
		`{size: 1Gi, storageClassName: ""}`: "storageClassName",
		`{size: 1Gi, claimName: disk}`:      `unknown field "spec.mover.cache.claimName"`,
	} {
		_, err := fc.createAs(admin, "ResticRepository", `{`+rest+`, mover: {cache: `+cache+`}}`, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s should say %q: %v", cache, says, err)
		}
	}
	for _, good := range []string{`{size: 10Gi}`, `{size: 1000000000, storageClassName: fast}`} {
		if _, err := fc.createAs(admin, "ResticRepository", `{`+rest+`, mover: {cache: `+good+`}}`, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

// A repository has pods run that mount Secrets, so that its writer needs the right
// to do that.
func TestARepositoryIsWrittenByThoseWhoMayRunPods(t *testing.T) {
	fc := aFakeCluster(t)
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{GenerateName: fc.namespace + "-repositories-"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"lull.dev"}, Resources: []string{"resticrepositories"}, Verbs: []string{"create", "update", "get"}},
		},
	}
	runner := role.DeepCopy()
	runner.Rules = append(runner.Rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create"}})
	fc.must(admin.Create(fc.ctx, role))
	fc.must(admin.Create(fc.ctx, runner))
	const spec = `{passwordSecretRef: {name: p}, backend: {volume: {claimName: disk}}}`
	writer, operator := fc.aUser("writer", role.Name), fc.aUser("operator", runner.Name)
	can := func(as client.Client) error {
		_, err := fc.createAs(as, "ResticRepository", spec, client.DryRunAll)
		return err
	}
	fc.eventually("the roles are in force", func() bool {
		err := can(writer)
		return can(operator) == nil && err != nil && !strings.Contains(err.Error(), "cannot create resource")
	})
	refusedBecause(t, can(writer), "may not create pods in namespace "+fc.namespace)

	written, err := fc.createAs(operator, "ResticRepository", spec)
	fc.must(err)
	fc.must(unstructured.SetNestedField(written.Object, "other", "spec", "passwordSecretRef", "name"))
	refusedBecause(t, writer.Update(fc.ctx, written), "may not create pods")
	fc.must(operator.Update(fc.ctx, written))
	fc.must(unstructured.SetNestedField(written.Object, "another-disk", "spec", "backend", "volume", "claimName"))
	refusedBecause(t, operator.Update(fc.ctx, written), "the place of a repository can't be changed")
}
