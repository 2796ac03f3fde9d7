package integration

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// attack is what somebody tries who has certain rights and no others, and what stops
// it: a row of docs/security.md, word by word.
type attack struct {
	what string
	// with are the rights that it takes, in the namespace: "patch pods, create
	// volumebackups", one of the ClusterRoles, or withToken.
	with string
	// stoppedBy is what does: a ValidatingAdmissionPolicy, a role, or the code.
	stoppedBy string
	// try is the attempt. It is made until it is stopped by the words of says, since
	// roles and policies take a moment to be in force, and returns what the API
	// server or the operator answers, empty for nothing.
	try  func(fc *fakeCluster, as client.Client) string
	says string
}

// withToken is who has stolen the token of the operator's account.
const withToken = "act as the operator"

// attacks are all, in the order of the page. A new list is one more argument.
var attacks = slices.Concat(commandAttacks, orderAttacks, evidenceAttacks, statusAttacks, sizeAttacks, tokenAttacks)

func TestEveryAttackIsStopped(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.what+" with "+a.with, func(t *testing.T) {
			fc := aFakeCluster(t)
			as, got := fc.somebody(a.with), ""
			defer func() {
				if t.Failed() {
					t.Logf("the last answer should say %q: %q", a.says, got)
				}
			}()
			fc.eventually("it is stopped", func() bool {
				got = a.try(fc, as)
				return strings.Contains(got, a.says)
			})
		})
	}
}

func TestThePageOfSecurityHasTheTableOfAttacks(t *testing.T) {
	const head = "| attack | with the right to | stopped by |\n| --- | --- | --- |\n"
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), head)
	if !found {
		t.Fatalf("the page has no table that begins with\n%s", head)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var want strings.Builder
	for _, a := range attacks {
		fmt.Fprintf(&want, "| %s | %s | %s |\n", a.what, a.with, a.stoppedBy)
	}
	if got := strings.TrimSpace(table); got != strings.TrimSpace(want.String()) {
		t.Errorf("the page's table should be\n%s\nand is\n%s", want.String(), got)
	}
}

// somebody has the rights that a row of the table says.
func (fc *fakeCluster) somebody(with string) client.Client {
	fc.Helper()
	switch with {
	case withToken:
		return operator
	case "do anything":
		return admin
	case "do anything in the namespace":
		return fc.aUser("owner", "cluster-admin")
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{GenerateName: fc.namespace + "-"}}
	for right := range strings.SplitSeq(with, ", ") {
		verb, resource, found := strings.Cut(right, " ")
		if !found {
			fc.Fatalf("%q is no verb and resource", right)
		}
		role.Rules = append(role.Rules, rbacv1.PolicyRule{Verbs: []string{verb}, Resources: []string{resource}, APIGroups: []string{groupOf(resource)}})
	}
	fc.must(admin.Create(fc.ctx, role))
	return fc.aUser("somebody", role.Name)
}

func groupOf(resource string) string {
	switch plural, _, _ := strings.Cut(resource, "/"); plural {
	case "pods", "persistentvolumeclaims":
		return corev1.GroupName
	case "deployments", "statefulsets":
		return appsv1.GroupName
	case "volumesnapshots":
		return snapshotv1.GroupName
	}
	return v1alpha1.GroupVersion.Group
}

// answer is what the API server says to a write, empty where it takes it.
func answer(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
