package integration

import (
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// samples are the backups of deploy/samples, where there are any.
func samples(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	files, _ := filepath.Glob(filepath.Join(manifests, "samples", "*.yaml"))
	for _, file := range files {
		objects, err := framework.ReadObjects(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, obj := range objects {
			if obj.GetKind() == "VolumeBackup" {
				all = append(all, obj)
			}
		}
	}
	return all
}

// aUser has the roles in the namespace and nothing else.
func (fc *fakeCluster) aUser(name string, roles ...string) client.Client {
	fc.Helper()
	name = fc.namespace + "-" + name
	for _, role := range roles {
		fc.create(&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}},
		})
	}
	c, err := client.New(configOf(name), client.Options{Scheme: scheme})
	fc.must(err)
	return c
}

func (fc *fakeCluster) mayExec() string {
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: fc.namespace + "-exec"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods/exec"}, Verbs: []string{"create"}}},
	}
	fc.must(admin.Create(fc.ctx, role))
	return role.Name
}

func TestCommandsNeedTheRightToRunThem(t *testing.T) {
	fc := aFakeCluster(t)
	const plain, tuned = `{applicationRef: {name: mysql}}`, `{applicationRef: {name: mysql}, quiesce: {timeout: 10s, onFailure: Continue}}`
	bringing := map[string]string{
		"a recipe":     `{applicationRef: {name: mysql}, quiesce: {recipe: mariadb}}`,
		"a hold":       `{applicationRef: {name: mysql}, quiesce: {hold: {command: [x]}}}`,
		"pre and post": `{applicationRef: {name: mysql}, quiesce: {pre: {command: [x]}, post: {command: [x]}}}`,
	}
	editor := fc.aUser("editor", "lull-edit")
	operator := fc.aUser("operator", "lull-edit", fc.mayExec())
	fc.eventually("the policy and the roles are in force", func() bool {
		err := fc.apply(t, editor, bringing["a hold"])
		return err != nil && strings.Contains(err.Error(), "spec.quiesce") && fc.apply(t, operator, bringing["a hold"]) == nil
	})
	for what, spec := range bringing {
		t.Run(what+" without the right", func(t *testing.T) {
			err := fc.apply(t, editor, spec)
			if err == nil {
				t.Fatal("should be refused")
			}
			for _, words := range []string{
				fc.namespace + "-editor may not create pods/exec in namespace " + fc.namespace,
				"ask for that right, or leave spec.quiesce out and let the annotations of the pod template say how to quiet it",
			} {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("should say %q: %v", words, err)
				}
			}
		})
		t.Run(what+" with the right", func(t *testing.T) { fc.must(fc.apply(t, operator, spec)) })
	}
	t.Run("no command needs no right", func(t *testing.T) {
		fc.must(fc.apply(t, editor, plain))
		fc.must(fc.apply(t, editor, tuned))
	})
	t.Run("the right in another namespace is none here", func(t *testing.T) {
		ns := fc.namespace + "-elsewhere"
		elsewhere := &fakeCluster{T: t, ctx: fc.ctx, namespace: ns}
		fc.must(admin.Create(fc.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}))
		elsewhere.create(&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "operator-edits"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "lull-edit"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: fc.namespace + "-operator"}},
		})
		fc.eventually("the role is in force", func() bool { return elsewhere.apply(t, operator, plain) == nil })
		elsewhere.isRefusedTo(t, operator, bringing["a hold"], "may not create pods/exec in namespace "+ns)
	})
	t.Run("who may only view creates nothing", func(t *testing.T) {
		viewer := fc.aUser("viewer", "lull-view")
		fc.eventually("the role is in force", func() bool {
			return viewer.List(fc.ctx, &v1alpha1.VolumeBackupList{}, client.InNamespace(fc.namespace)) == nil
		})
		fc.isRefusedTo(t, viewer, plain, "cannot create resource")
	})
}

func (fc *fakeCluster) isRefusedTo(t *testing.T, user client.Client, spec, says string) {
	t.Helper()
	if err := fc.apply(t, user, spec); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("should be refused by %q: %v", says, err)
	}
}

// The manager of every other test has exactly these rights; this one says that
// they end where the design says.
func TestTheManagerMayNoMoreThanItNeeds(t *testing.T) {
	fc := aFakeCluster(t)
	manager, err := client.New(asManager, client.Options{Scheme: scheme})
	fc.must(err)
	for what, try := range map[string]func() error{
		"delete a volume": func() error {
			return manager.Delete(fc.ctx, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "any"}})
		},
		"delete a workload": func() error {
			return manager.Delete(fc.ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "any", Namespace: fc.namespace}})
		},
		"read secrets": func() error { return manager.List(fc.ctx, &corev1.SecretList{}, client.InNamespace(fc.namespace)) },
		"write a policy": func() error {
			_, err := fc.createAs(manager, "SnapshotPolicy", `{schedule: "@daily"}`)
			return err
		},
		"ask for a restore": func() error {
			_, err := fc.restoreAs(manager, `{source: {volumeBackupRef: {name: b}}}`)
			return err
		},
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), "forbidden") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
