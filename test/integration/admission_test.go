package integration

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// A spec as a person writes it, and a part of what the API server answers.
var refused = []struct{ name, spec, says string }{
	{"no application", `{}`, "applicationRef"},
	{"no name", `{applicationRef: {kind: Deployment}}`, "spec.applicationRef.name: Required value"},
	{"an empty name", `{applicationRef: {name: ""}}`, "spec.applicationRef.name"},
	{"an unknown kind", `{applicationRef: {kind: CronJob, name: mysql}}`, `Unsupported value: "CronJob": supported values: "Deployment"`},
	{"a kind in lower case", `{applicationRef: {kind: deployment, name: mysql}}`, `Unsupported value: "deployment"`},
	{"a namespace in the name", `{applicationRef: {name: shop/mysql}}`, "write the name of the workload alone, without kind or namespace"},
	{"a kind in the name", `{applicationRef: {name: deploy/mysql}}`, "write the name of the workload alone, without kind or namespace"},
	{"capitals in the name", `{applicationRef: {name: MySQL}}`, "lower-case letters, digits"},
	{"a line break in the name", `{applicationRef: {name: "mysql\n"}}`, "write the name of the workload alone"},
	{"a namespace field", `{applicationRef: {name: mysql, namespace: other}}`, `unknown field "spec.applicationRef.namespace"`},
	{"a claim in include and exclude", `{applicationRef: {name: mysql}, volumes: {include: [a, b], exclude: [b]}}`, "a claim stands in both include and exclude: remove it from one of them"},
	{"a claim twice", `{applicationRef: {name: mysql}, volumes: {include: [a, a]}}`, "Duplicate value"},
	{"an empty claim", `{applicationRef: {name: mysql}, volumes: {include: [""]}}`, "spec.volumes.include[0]"},
	{"a class of snapshots and one of groups", `{applicationRef: {name: mysql}, volumeSnapshotClassName: one, volumeGroupSnapshotClassName: together}`, "write one of volumeSnapshotClassName and volumeGroupSnapshotClassName"},
	{"a recipe and a hold", `{applicationRef: {name: mysql}, quiesce: {recipe: mariadb, hold: {command: [x]}}}`, "write one of recipe, hold, or the pair pre and post"},
	{"a recipe and hooks", `{applicationRef: {name: mysql}, quiesce: {recipe: mariadb, pre: {command: [x]}, post: {command: [x]}}}`, "write one of recipe, hold, or the pair pre and post"},
	{"a hold and hooks", `{applicationRef: {name: mysql}, quiesce: {hold: {command: [x]}, pre: {command: [x]}, post: {command: [x]}}}`, "write one of recipe, hold, or the pair pre and post"},
	{"a pre without a post", `{applicationRef: {name: mysql}, quiesce: {pre: {command: [x]}}}`, "pre and post are a pair: write both"},
	{"a post without a pre", `{applicationRef: {name: mysql}, quiesce: {post: {command: [x]}}}`, "pre and post are a pair: write both"},
	{"no command", `{applicationRef: {name: mysql}, quiesce: {hold: {}}}`, "spec.quiesce.hold.command: Required value"},
	{"an empty command", `{applicationRef: {name: mysql}, quiesce: {hold: {command: []}}}`, "spec.quiesce.hold.command"},
	{"a command without a program", `{applicationRef: {name: mysql}, quiesce: {hold: {command: [""]}}}`, "the first word of a command names a program: it can't be empty"},
	{"a command that is too long", `{applicationRef: {name: mysql}, quiesce: {hold: {command: [` + strings.Repeat(`"`+strings.Repeat("x", 16000)+`", `, 5) + `]}}}`, "a command has at most 65536 characters, all of its words together"},
	{"a command as a string", `{applicationRef: {name: mysql}, quiesce: {hold: {command: freeze}}}`, "spec.quiesce.hold.command"},
	{"an unknown recipe", `{applicationRef: {name: mysql}, quiesce: {recipe: oracle}}`, "there is no such recipe: write mariadb, mysql, postgresql, redis, valkey, mongodb or fsfreeze, or write hold"},
	{"Elasticsearch", `{applicationRef: {name: mysql}, quiesce: {recipe: elasticsearch}}`, "use its snapshot API"},
	{"OpenSearch", `{applicationRef: {name: mysql}, quiesce: {recipe: opensearch}}`, "use its snapshot API"},
	{"etcd", `{applicationRef: {name: etcd}, quiesce: {recipe: etcd}}`, "etcdctl snapshot save"},
	{"unknown pods", `{applicationRef: {name: mysql}, quiesce: {pods: Some}}`, `Unsupported value: "Some": supported values: "All", "One"`},
	{"a recipe that stills files", `{applicationRef: {name: mysql}, quiesce: {recipe: mariadb, stills: Files}}`, "the database of a recipe goes on writing its files: leave stills out"},
	{"something else that is kept still", `{applicationRef: {name: mysql}, quiesce: {stills: Everything}}`, `Unsupported value: "Everything": supported values: "Files", "Commits"`},
	{"an unknown way on", `{applicationRef: {name: mysql}, quiesce: {onFailure: Ignore}}`, `Unsupported value: "Ignore": supported values: "Fail", "Continue"`},
	{"an unknown deletion policy", `{applicationRef: {name: mysql}, deletionPolicy: Keep}`, `Unsupported value: "Keep": supported values: "Delete", "Retain"`},
	{"no attempts", `{applicationRef: {name: mysql}, attempts: 0}`, "spec.attempts in body should be greater than or equal to 1"},
	{"too many attempts", `{applicationRef: {name: mysql}, attempts: 11}`, "spec.attempts in body should be less than or equal to 10"},
	{"an empty class", `{applicationRef: {name: mysql}, volumeSnapshotClassName: ""}`, "spec.volumeSnapshotClassName"},
	{"a misspelt field", `{applicationRef: {name: mysql}, quiece: {recipe: mariadb}}`, `unknown field "spec.quiece"`},
}

func TestTheAPIServerRefusesABadBackup(t *testing.T) {
	fc := aFakeCluster(t)
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) { fc.isRefused(t, c.spec, c.says) })
	}
	for _, timeout := range []string{
		`"30"`, `30`, `"0s"`, `"999ms"`, `"2h"`, `"1h1s"`, `"3601s"`, `"soon"`, `""`, `"-5s"`, `"+5s"`, `"1d"`, `"1 s"`, `"1s\n"`, `".5m"`, `"1us"`,
		`"99999999999999999999h"`, `"9223372036854775808ms"`,
	} {
		t.Run("the timeout "+timeout, func(t *testing.T) {
			says := "write a duration from 1s to 1h, such as 30s or 2m"
			if timeout == `30` {
				says = "must be of type string"
			}
			fc.isRefused(t, `{applicationRef: {name: mysql}, quiesce: {timeout: `+timeout+`}}`, says)
		})
	}
}

func (fc *fakeCluster) isRefused(t *testing.T, spec, says string) {
	t.Helper()
	err := fc.apply(t, admin, spec)
	if err == nil {
		t.Fatalf("%s should be refused", spec)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("should say %q:\n%v", says, err)
	}
}

// apply creates a backup as kubectl does, with strict field validation.
func (fc *fakeCluster) apply(t *testing.T, as client.Client, spec string) error {
	_, err := fc.created(t, as, spec)
	return err
}

func (fc *fakeCluster) created(t *testing.T, as client.Client, spec string) (*unstructured.Unstructured, error) {
	t.Helper()
	obj := &unstructured.Unstructured{Object: map[string]any{}}
	fields := map[string]any{}
	if err := yaml.Unmarshal([]byte(spec), &fields); err != nil {
		t.Fatal(err)
	}
	obj.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("VolumeBackup"))
	obj.SetNamespace(fc.namespace)
	obj.SetGenerateName("backup-")
	obj.Object["spec"] = fields
	return obj, as.Create(fc.ctx, obj, client.FieldValidation("Strict"))
}

func TestTheAPIServerTakesAGoodBackup(t *testing.T) {
	fc := aFakeCluster(t)
	for _, spec := range []string{
		`{applicationRef: {name: mysql}}`,
		`{applicationRef: {kind: StatefulSet, name: my.sql-0}, volumes: {include: [a], exclude: [b]}}`,
		`{applicationRef: {name: mysql}, quiesce: {recipe: mariadb, timeout: 30s, pods: One, onFailure: Continue}}`,
		`{applicationRef: {name: files}, quiesce: {recipe: fsfreeze, stills: Files}}`,
		`{applicationRef: {name: mongo}, quiesce: {recipe: mongodb, stills: Commits}}`,
		`{applicationRef: {name: mysql}, quiesce: {hold: {command: [sh, -c, "freeze"], container: db}}}`,
		`{applicationRef: {name: mysql}, quiesce: {pre: {command: [freeze]}, post: {command: ["true"]}}}`,
		`{applicationRef: {name: mysql}, quiesce: {}, volumes: {}}`,
		`{applicationRef: {name: mysql}, attempts: 10, deletionPolicy: Retain, volumeSnapshotClassName: fast}`,
	} {
		t.Run(spec, func(t *testing.T) {
			if err := fc.apply(t, admin, spec); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("the samples", func(t *testing.T) {
		for _, obj := range samples(t) {
			obj.SetNamespace(fc.namespace)
			if err := admin.Create(fc.ctx, obj, client.FieldValidation("Strict"), client.DryRunAll); err != nil {
				t.Errorf("%s: %v", obj.GetName(), err)
			}
		}
	})
}

// A list that our types can't read would stop every controller, so that no
// backup of the cluster would be made.
func TestWhateverIsAdmittedCanBeRead(t *testing.T) {
	fc := aFakeCluster(t)
	for timeout, means := range map[string]time.Duration{
		"1s": time.Second, "1h": time.Hour, "60m": time.Hour, "1000ms": time.Second, "1.5m": 90 * time.Second, "59m60s": time.Hour,
		"0h30s": 30 * time.Second, "0001s": time.Second, "1m1m": 2 * time.Minute, "0.00001h1s": 1036 * time.Millisecond,
		"1.000000000000000000000001s": time.Second,
	} {
		obj, err := fc.created(t, admin, `{applicationRef: {name: mysql}, quiesce: {timeout: `+timeout+`}}`)
		if err != nil {
			continue // what is refused harms nobody
		}
		var b v1alpha1.VolumeBackup
		if err := admin.Get(fc.ctx, client.ObjectKeyFromObject(obj), &b); err != nil {
			t.Errorf("timeout %s: %v", timeout, err)
		} else if b.Spec.Quiesce.Timeout.Duration != means {
			t.Errorf("timeout %s is read as %s", timeout, b.Spec.Quiesce.Timeout.Duration)
		}
	}
	if err := admin.List(fc.ctx, &v1alpha1.VolumeBackupList{}, client.InNamespace(fc.namespace)); err != nil {
		t.Error(err)
	}
}

func TestDefaultsAreFilledIn(t *testing.T) {
	fc := aFakeCluster(t)
	obj, err := fc.created(t, admin, `{applicationRef: {name: mysql}}`)
	fc.must(err)
	for _, c := range []struct {
		want any
		path []string
	}{
		{"Deployment", []string{"spec", "applicationRef", "kind"}},
		{int64(3), []string{"spec", "attempts"}},
		{"Delete", []string{"spec", "deletionPolicy"}},
	} {
		if got, _, _ := unstructured.NestedFieldNoCopy(obj.Object, c.path...); got != c.want {
			t.Errorf("%s is %v by default, not %v", strings.Join(c.path, "."), got, c.want)
		}
	}
}

func TestASpecCantBeChangedAndLabelsCan(t *testing.T) {
	fc := aFakeCluster(t)
	b := fc.aBackupOf(v1alpha1.KindDeployment, "mysql")
	b.Labels = map[string]string{"team": "shop"}
	fc.must(admin.Update(fc.ctx, b))
	for what, change := range map[string]func(*v1alpha1.VolumeBackupSpec){
		"the application": func(s *v1alpha1.VolumeBackupSpec) { s.ApplicationRef.Name = "other" },
		"the policy":      retain,
		"the attempts":    attempts(5),
		"the quiesce":     orContinue,
	} {
		other := b.DeepCopy()
		change(&other.Spec)
		err := admin.Update(fc.ctx, other)
		if err == nil || !strings.Contains(err.Error(), "the spec of a backup can't be changed: create another VolumeBackup") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
