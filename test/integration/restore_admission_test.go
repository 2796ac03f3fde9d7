package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// restoreAs creates a restore as kubectl does, with strict field validation.
func (fc *fakeCluster) restoreAs(as client.Client, spec string) (*unstructured.Unstructured, error) {
	fc.Helper()
	obj, fields := &unstructured.Unstructured{Object: map[string]any{}}, map[string]any{}
	fc.must(yaml.Unmarshal([]byte(spec), &fields))
	obj.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("VolumeRestore"))
	obj.SetNamespace(fc.namespace)
	obj.SetGenerateName("restore-")
	obj.Object["spec"] = fields
	return obj, as.Create(fc.ctx, obj, client.FieldValidation("Strict"))
}

func refusedBecause(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("should be refused by %q: %v", says, err)
	}
}

func TestNewClaimsHaveNamesOfTheirOwn(t *testing.T) {
	fc := aFakeCluster(t)
	_, err := fc.restoreAs(admin, `{source: {volumeBackupRef: {name: b}}, target: {claims: {a: zz, b: yy, c: zz}}}`)
	refusedBecause(t, err, "each claim needs a name of its own")
	_, err = fc.restoreAs(admin, `{source: {volumeBackupRef: {name: b}}, target: {claims: {a: zz, b: yy}}}`)
	fc.must(err)
	many := map[string]string{}
	for i := range 256 {
		many[fmt.Sprintf("%d", i)] = fmt.Sprintf("%d%s", i, strings.Repeat("x", 250))
	}
	spec, err := json.Marshal(many)
	fc.must(err)
	_, err = fc.restoreAs(admin, `{source: {volumeBackupRef: {name: b}}, target: {claims: `+string(spec)+`}}`)
	fc.must(err) // so many are compared where they are resolved
}

// mayRestore is a role for restores and claims.
func (fc *fakeCluster) mayRestore(claims ...string) string {
	fc.Helper()
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{GenerateName: fc.namespace + "-restore-"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"lull.dev"}, Resources: []string{"volumerestores"}, Verbs: []string{"create", "get", "patch", "delete"}},
			{APIGroups: []string{""}, Resources: []string{"persistentvolumeclaims"}, Verbs: claims},
		},
	}
	fc.must(admin.Create(fc.ctx, role))
	return role.Name
}

func (fc *fakeCluster) mayUpdate(kinds ...string) string {
	fc.Helper()
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{GenerateName: fc.namespace + "-update-"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: kinds, Verbs: []string{"update"}}},
	}
	fc.must(admin.Create(fc.ctx, role))
	return role.Name
}

const ontoShop = `source: {volumeBackupRef: {name: b}}, target: {applicationRef: {kind: Deployment, name: shop}}`

func TestWhoDeletesClaimsByARestoreMayDeleteThem(t *testing.T) {
	fc := aFakeCluster(t)
	maker := fc.aUser("maker", fc.mayRestore("create"), fc.mayUpdate("deployments"))
	owner := fc.aUser("owner", fc.mayRestore("create", "delete"), fc.mayUpdate("deployments"))
	const deletes = `{` + ontoShop + `, previousClaims: Delete}`
	fc.eventually("the policy and the roles are in force", func() bool {
		_, mine := fc.restoreAs(owner, deletes)
		_, kept := fc.restoreAs(maker, `{`+ontoShop+`}`)
		return mine == nil && kept == nil
	})
	_, err := fc.restoreAs(maker, deletes)
	refusedBecause(t, err, fc.namespace+"-maker may not delete persistentvolumeclaims in namespace "+fc.namespace+": ask for that right, or write Keep")
	_, err = fc.restoreAs(maker, `{source: {volumeBackupRef: {name: b}}, target: {strategy: ClaimsOnly}, previousClaims: Delete}`)
	fc.must(err) // it deletes none
	owners, err := fc.restoreAs(owner, deletes)
	fc.must(err)
	fc.must(maker.Patch(fc.ctx, owners, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"rollBack":true}}`)))) // nor does its undoing
}

func TestWhoDeletesARestoreUnderWayMayUpdateItsApplication(t *testing.T) {
	fc := aFakeCluster(t)
	stranger := fc.aUser("stranger", fc.mayRestore("create"))
	owner := fc.aUser("owner", fc.mayRestore("create"), fc.mayUpdate("deployments"))
	fc.eventually("the roles are in force", func() bool {
		other, err := fc.restoreAs(admin, `{`+ontoShop+`}`)
		fc.must(err)
		claims, err := fc.restoreAs(stranger, `{source: {volumeBackupRef: {name: b}}, target: {strategy: ClaimsOnly}}`)
		return err == nil && stranger.Delete(fc.ctx, claims) == nil && owner.Delete(fc.ctx, other) == nil
	})
	const says = "a restore stops and changes its application, and "
	named, err := fc.restoreAs(admin, `{`+ontoShop+`}`)
	fc.must(err)
	refusedBecause(t, stranger.Delete(fc.ctx, named), says+fc.namespace+"-stranger may not update deployments/shop in namespace "+fc.namespace+", and a restore that is deleted before its end is undone")
	any, err := fc.restoreAs(admin, `{source: {volumeBackupRef: {name: b}}}`)
	fc.must(err)
	refusedBecause(t, stranger.Delete(fc.ctx, any), says+fc.namespace+"-stranger may not update deployments in namespace")
	refusedBecause(t, owner.Delete(fc.ctx, any), "may not update statefulsets")

	for _, condition := range []string{v1alpha1.ConditionComplete, v1alpha1.ConditionFailed} {
		ended := fc.endedRestore(condition)
		fc.must(stranger.Delete(fc.ctx, ended)) // nothing is undone by it
	}
	for _, name := range []string{"namespace-controller", "generic-garbage-collector"} {
		cleaner, err := client.New(configOf("system:serviceaccount:kube-system:"+name), client.Options{Scheme: scheme})
		fc.must(err)
		left, err := fc.restoreAs(admin, `{`+ontoShop+`}`)
		fc.must(err)
		fc.create(&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: fc.mayRestore("create")},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "system:serviceaccount:kube-system:" + name}},
		})
		fc.eventually("it is cleaned up by "+name, func() bool { return cleaner.Delete(fc.ctx, left) == nil })
	}
}

// An owner that isn't there has Kubernetes delete the restore, and the finalizer is
// what has it undone then.
func TestWhoHasARestoreUndoneByItsMetadataMayUpdateItsApplication(t *testing.T) {
	fc := aFakeCluster(t)
	stranger := fc.aUser("stranger", fc.mayRestore("create"))
	owner := fc.aUser("owner", fc.mayRestore("create"), fc.mayUpdate("deployments"))
	begun := func() *v1alpha1.VolumeRestore {
		r := fc.endedRestore(v1alpha1.ConditionComplete)
		r.Finalizers = []string{v1alpha1.FinalizerVolumeRestore}
		fc.must(admin.Update(fc.ctx, r))
		r.Status.Strategy, r.Status.Conditions = v1alpha1.StrategyRepoint, nil
		fc.writesStatus(r)
		return r
	}
	patched := func(as client.Client, r *v1alpha1.VolumeRestore, patch string) error {
		return as.Patch(fc.ctx, r.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)))
	}
	const (
		nobody   = `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"0c5e22ab-0000-4000-8000-000000000000"}]}}`
		unheld   = `{"metadata":{"finalizers":null}}`
		labelled = `{"metadata":{"labels":{"team":"shop"}}}`
	)
	fc.eventually("the roles are in force", func() bool {
		return patched(stranger, begun(), labelled) == nil && patched(owner, begun(), nobody) == nil
	})
	for what, patch := range map[string]string{"an owner that isn't there": nobody, "no finalizer": unheld} {
		r := begun()
		refusedBecause(t, patched(stranger, r, patch), fc.namespace+"-stranger may not update deployments/shop in namespace "+fc.namespace+", and a restore that gets an owner, or loses its finalizer")
		if err := patched(owner, r, patch); err != nil {
			t.Errorf("%s, by who may update it: %v", what, err)
		}
		ended := begun()
		meta.SetStatusCondition(&ended.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: "x"})
		fc.writesStatus(ended)
		if err := patched(stranger, ended, patch); err != nil {
			t.Errorf("%s, once it has ended: %v", what, err)
		}
	}
	new := begun()
	new.Status.Strategy = ""
	fc.writesStatus(new)
	fc.must(patched(operator, new, unheld)) // nothing was begun
	refusedBecause(t, patched(operator, begun(), unheld), "may not update deployments/shop")
}

func TestWhoLetsKeptVolumesGoMayDeleteClaims(t *testing.T) {
	fc := aFakeCluster(t)
	maker := fc.aUser("maker", fc.mayRestore("create"), fc.mayUpdate("deployments"))
	owner := fc.aUser("owner", fc.mayRestore("create", "delete"), fc.mayUpdate("deployments"))
	stranger := fc.aUser("stranger", fc.mayRestore("create", "delete"))
	release := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"releasePrevious":true}}`))
	fc.eventually("the roles are in force", func() bool {
		_, mine := fc.restoreAs(maker, `{`+ontoShop+`}`)
		return mine == nil && owner.Patch(fc.ctx, fc.endedRestore(v1alpha1.ConditionComplete), release) == nil
	})
	ended := fc.endedRestore(v1alpha1.ConditionComplete)
	refusedBecause(t, maker.Patch(fc.ctx, ended.DeepCopy(), release), fc.namespace+"-maker may not delete persistentvolumeclaims in namespace "+fc.namespace)
	refusedBecause(t, stranger.Patch(fc.ctx, ended.DeepCopy(), release), fc.namespace+"-stranger may not update deployments/shop")
}

// endedRestore is one of Deployment shop that has the condition.
func (fc *fakeCluster) endedRestore(condition string) *v1alpha1.VolumeRestore {
	fc.Helper()
	r := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{GenerateName: "ended-"}}
	r.Spec.Source.VolumeBackupRef = &v1alpha1.LocalReference{Name: "b"}
	r.Spec.Target.ApplicationRef = &v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: "shop"}
	fc.create(r)
	meta.SetStatusCondition(&r.Status.Conditions, metav1.Condition{Type: condition, Status: metav1.ConditionTrue, Reason: "x"})
	fc.writesStatus(r)
	return r
}

// Go writes a struct that is empty as {}.
func TestATypedClientCanUpdateARestore(t *testing.T) {
	fc := aFakeCluster(t)
	for _, spec := range []string{
		`{source: {volumeBackupRef: {name: b}}}`,
		`{` + ontoShop + `}`,
		`{source: {volumeBackupRef: {name: b}}, target: {claims: {data: zz}}, volumes: {include: [data]}}`,
	} {
		made, err := fc.restoreAs(admin, spec)
		fc.must(err)
		r := &v1alpha1.VolumeRestore{}
		fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(made), r))
		r.Labels = map[string]string{"team": "shop"}
		fc.must(admin.Update(fc.ctx, r))
		r.Spec.RollBack, r.Spec.ReleasePrevious = true, true
		fc.must(admin.Update(fc.ctx, r))
		for what, change := range map[string]func(*v1alpha1.VolumeRestoreSpec){
			"the target":  func(s *v1alpha1.VolumeRestoreSpec) { s.Target.Strategy = v1alpha1.StrategyClaimsOnly },
			"the volumes": func(s *v1alpha1.VolumeRestoreSpec) { s.Volumes.Exclude = []string{"other"} },
			"again":       func(s *v1alpha1.VolumeRestoreSpec) { s.Again = true },
		} {
			other := r.DeepCopy()
			change(&other.Spec)
			t.Run(what, func(t *testing.T) {
				refusedBecause(t, admin.Update(fc.ctx, other), "of a restore's spec only rollBack and releasePrevious can be changed")
			})
		}
	}
}

func TestARestoreFromARepositorySaysWhatAndWhere(t *testing.T) {
	fc := aFakeCluster(t)
	for spec, says := range map[string]string{
		`{source: {repository: {ref: {name: offsite}}}}`:                                                                           "a repository doesn't say what kind an application is",
		`{source: {repository: {ref: {name: offsite}}}, target: {strategy: ClaimsOnly}}`:                                           "say whose backup",
		`{source: {repository: {ref: {name: offsite}, snapshotID: latest}}, target: {strategy: ClaimsOnly}}`:                       "spec.source.repository.snapshotID",
		`{source: {repository: {ref: {name: offsite}, snapshotID: "0123abcd", application: a/b}}, target: {strategy: ClaimsOnly}}`: "by snapshotID alone, or by application and asOf",
		`{source: {repository: {ref: {name: offsite}, application: "a/b/c"}}, target: {strategy: ClaimsOnly}}`:                     "as shop/mysql",
		`{source: {repository: {ref: {name: ResticRepository/offsite}, application: a}}, target: {strategy: ClaimsOnly}}`:          "write the name of the ResticRepository alone",
		`{source: {repository: {ref: {name: offsite}}, volumeBackupRef: {name: b}}, target: {applicationRef: {name: a}}}`:          "say what to restore from, by one of",
		`{source: {volumeBackupRef: {name: b}, paths: [/a]}}`:                                                                      "paths are restored into claims alone: write target.strategy: ClaimsOnly",
		`{source: {policy: {ref: {name: p}}, paths: [/a]}, target: {strategy: Replace}}`:                                           "paths are restored into claims alone: write target.strategy: ClaimsOnly",
		`{source: {volumeBackupRef: {name: b}, paths: []}, target: {strategy: ClaimsOnly}}`:                                        "should have at least 1 items",
		`{source: {volumeBackupRef: {name: b}, paths: [/a/]}, target: {strategy: ClaimsOnly}}`:                                     "write a path from the volume's root",
		`{source: {repository: {ref: {name: offsite}}, paths: [/a]}, target: {applicationRef: {name: a}}}`:                         "paths are restored into claims alone",
		`{source: {repository: {ref: {name: offsite}, application: a}, paths: [etc/app.conf]}, target: {strategy: ClaimsOnly}}`:    "write a path from the volume's root",
		`{source: {repository: {ref: {name: offsite}, application: a}, paths: [/etc/../x]}, target: {strategy: ClaimsOnly}}`:       "write a path from the volume's root",
		`{source: {repository: {ref: {name: offsite}, application: a}, paths: [/]}, target: {strategy: ClaimsOnly}}`:               "write a path from the volume's root",
	} {
		_, err := fc.restoreAs(admin, spec)
		refusedBecause(t, err, says)
	}
	for _, spec := range []string{
		`{source: {repository: {ref: {name: offsite}}}, target: {applicationRef: {name: a}}}`,
		`{source: {repository: {ref: {name: offsite}, application: shop/mysql, asOf: "2026-05-01T12:00:00Z", claim: data}}, target: {applicationRef: {kind: StatefulSet, name: a}}}`,
		`{source: {repository: {ref: {name: offsite}, snapshotID: "0123abcd"}, paths: [/etc/app.conf, "/..a/.b", "/ü ?*"]}, target: {strategy: ClaimsOnly}}`,
		`{source: {volumeBackupRef: {name: b}, paths: [/etc/app.conf]}, target: {strategy: ClaimsOnly, claims: {data: looked-into}}, volumes: {include: [data]}}`,
		`{source: {policy: {ref: {name: p}}, paths: ["/two\nlines"]}, target: {strategy: ClaimsOnly}}`,
	} {
		_, err := fc.restoreAs(admin, spec)
		fc.must(err)
	}
}
