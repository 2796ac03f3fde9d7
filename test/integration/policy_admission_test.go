package integration

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// createAs creates an object of ours as kubectl does, with strict field validation, or
// asks whether it could.
func (fc *fakeCluster) createAs(as client.Client, kind, spec string, with ...client.CreateOption) (*unstructured.Unstructured, error) {
	fc.Helper()
	obj, fields := &unstructured.Unstructured{Object: map[string]any{}}, map[string]any{}
	fc.must(yaml.Unmarshal([]byte(spec), &fields))
	obj.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	if kind != "ClusterSnapshotPolicy" {
		obj.SetNamespace(fc.namespace)
	}
	obj.SetGenerateName(strings.ToLower(kind) + "-")
	obj.Object["spec"] = fields
	return obj, as.Create(fc.ctx, obj, append(with, client.FieldValidation("Strict"))...)
}

func TestBadPoliciesAreRefusedBySayingWhatToWrite(t *testing.T) {
	fc := aFakeCluster(t)
	for name, c := range map[string]struct{ spec, says string }{
		"no schedule":                {`{}`, "spec.schedule: Required value"},
		"exports without an export":  {`{schedule: "@daily", retention: {exports: {keepLast: 3}}}`, "the template exports nothing: write template.spec.export"},
		"exports that keep nothing":  {`{schedule: "@daily", template: {spec: {export: {repositoryRef: {name: r}}}}, retention: {exports: {keepLast: 0}}}`, "these rules would keep nothing"},
		"six fields":                 {`{schedule: "0 0 2 * * *"}`, "a schedule has five fields, without seconds: write 0 2 * * *"},
		"four fields":                {`{schedule: "0 2 * *"}`, "as in 0 2 * * *"},
		"a zone":                     {`{schedule: "TZ=Europe/Zurich 0 2 * * *"}`, "write that as timeZone"},
		"a zone, as robfig has it":   {`{schedule: "CRON_TZ=Europe/Zurich 0 2 * * *"}`, "write that as timeZone"},
		"a jitter without a unit":    {`{schedule: "@daily", jitter: "15"}`, "write a duration, such as 90s or 15m"},
		"a short deadline":           {`{schedule: "@daily", startingDeadline: 1s}`, "write a duration of 10s or more"},
		"a concurrency of CronJobs":  {`{schedule: "@daily", concurrency: Replace}`, `supported values: "Forbid", "Allow"`},
		"an application in template": {`{schedule: "@daily", template: {spec: {applicationRef: {name: mysql}}}}`, "the policy says in spec.applications which applications are backed up"},
		"two classes in template":    {`{schedule: "@daily", template: {spec: {volumeSnapshotClassName: a, volumeGroupSnapshotClassName: b}}}`, "write one of volumeSnapshotClassName and volumeGroupSnapshotClassName"},
		"keeps below -1":             {`{schedule: "@daily", retention: {snapshots: {keepDaily: -2}}}`, "greater than or equal to -1"},
		"keeps nothing":              {`{schedule: "@daily", retention: {snapshots: {keepLast: 0, keepWithin: 0h}}}`, "write one that keeps something, as keepLast: 3"},
		"keeps nothing at all":       {`{schedule: "@daily", retention: {snapshots: {}}}`, "these rules would keep nothing"},
		"minutes":                    {`{schedule: "@daily", retention: {snapshots: {keepWithin: 90s}}}`, "as 48h, 30d or 1y6m"},
		"a negative history":         {`{schedule: "@daily", history: {failed: -1}}`, "greater than or equal to 0"},
		"an unknown field":           {`{schedule: "@daily", keep: 3}`, `unknown field "spec.keep"`},
		"a namespace selector":       {`{schedule: "@daily", namespaceSelector: {}}`, `unknown field "spec.namespaceSelector"`},
	} {
		_, err := fc.createAs(admin, "SnapshotPolicy", c.spec, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: should say %q: %v", name, c.says, err)
		}
	}
	for _, spec := range []string{
		`{schedule: "0 2 * * *"}`,
		`{schedule: "0\t2\t*\t* 5-7"}`,
		`{schedule: "  @every 90m ", timeZone: Europe/Zurich, jitter: 15m, suspend: true, startingDeadline: 2h, concurrency: Allow}`,
		`{schedule: "@daily", applications: {refs: [{name: mysql}], selector: {}, claimSelector: {matchLabels: {backup: "yes"}}}}`,
		`{schedule: "@daily", template: {spec: {quiesce: {recipe: mariadb}, deletionPolicy: Retain}}, history: {failed: 0}}`,
		`{schedule: "@daily", retention: {snapshots: {keepLast: -1}}}`,
		`{schedule: "@daily", retention: {snapshots: {keepLast: 3, keepHourly: 24, keepDaily: 7, keepWeekly: 4, keepMonthly: 12, keepYearly: 3, keepWithin: 1y6m7d12h}}}`,
	} {
		if _, err := fc.createAs(admin, "SnapshotPolicy", spec, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
	_, err := fc.createAs(admin, "ClusterSnapshotPolicy", `{schedule: "@daily", applications: {refs: [{name: mysql}, {kind: Pod, name: lone}]}}`, client.DryRunAll)
	refusedBecause(t, err, "write the workload that makes them")
	if _, err := fc.createAs(admin, "ClusterSnapshotPolicy", `{schedule: "@daily", namespaceSelector: {}, applications: {selector: {}}}`, client.DryRunAll); err != nil {
		t.Error(err)
	}
}

// A policy acts with the operator's rights, so that its writer needs those of
// what it does.
func TestAPolicyIsWrittenByThoseWhoMayDoWhatItDoes(t *testing.T) {
	fc := aFakeCluster(t)
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{GenerateName: fc.namespace + "-policies-"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"lull.dev"}, Resources: []string{"snapshotpolicies"}, Verbs: []string{"create", "update", "get"}},
		},
	}
	fc.must(admin.Create(fc.ctx, role))
	const plain, commands = `{schedule: "@daily"}`, `{schedule: "@daily", template: {spec: {quiesce: {recipe: mariadb}}}}`
	editor, operator, writer := fc.aUser("editor", "lull-edit"), fc.aUser("operator", "lull-edit", fc.mayExec()), fc.aUser("writer", role.Name)
	can := func(as client.Client, kind, spec string) error {
		_, err := fc.createAs(as, kind, spec, client.DryRunAll)
		return err
	}
	fc.eventually("the roles are in force", func() bool {
		return can(editor, "SnapshotPolicy", plain) == nil && can(operator, "SnapshotPolicy", commands) == nil &&
			!strings.Contains(can(writer, "SnapshotPolicy", plain).Error(), "cannot create resource")
	})
	refusedBecause(t, can(editor, "SnapshotPolicy", commands), "may not create pods/exec in namespace "+fc.namespace)
	refusedBecause(t, can(writer, "SnapshotPolicy", plain), "may not create volumebackups in namespace "+fc.namespace)
	refusedBecause(t, can(operator, "ClusterSnapshotPolicy", plain), "cannot create resource")

	written, err := fc.createAs(editor, "SnapshotPolicy", plain)
	fc.must(err)
	withCommands, err := fc.createAs(operator, "SnapshotPolicy", commands)
	fc.must(err)
	annotates := func(as client.Client, p *unstructured.Unstructured, annotation string) error {
		asked := p.DeepCopy()
		asked.SetAnnotations(map[string]string{annotation: "1"})
		return as.Update(fc.ctx, asked, client.DryRunAll)
	}
	refusedBecause(t, annotates(writer, written, v1alpha1.AnnotationRunNow), "may not create volumebackups")
	refusedBecause(t, annotates(writer, written, v1alpha1.AnnotationReleaseRetention), "may not delete volumebackups")
	refusedBecause(t, annotates(editor, withCommands, v1alpha1.AnnotationRunNow), "may not create pods/exec")
	fc.must(annotates(writer, written, "team"))
	fc.must(annotates(editor, written, v1alpha1.AnnotationRunNow))
	fc.must(annotates(editor, withCommands, v1alpha1.AnnotationReleaseRetention))
	fc.must(annotates(operator, withCommands, v1alpha1.AnnotationRunNow))
	fc.must(unstructured.SetNestedField(written.Object, "mariadb", "spec", "template", "spec", "quiesce", "recipe"))
	refusedBecause(t, editor.Update(fc.ctx, written), "may not create pods/exec")
}
