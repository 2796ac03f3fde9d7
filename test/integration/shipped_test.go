package integration

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/controllers/shipped"
	"github.com/lull-dev/lull/deploy"
	"github.com/lull-dev/lull/test/framework"
)

// changedReader reads objects as the API server would have them after a change.
type changedReader struct {
	client.Reader
	change func(*unstructured.Unstructured) bool
}

func (r changedReader) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if err := r.Reader.Get(ctx, key, obj, opts...); err != nil {
		return err
	}
	if !r.change(obj.(*unstructured.Unstructured)) {
		return nil
	}
	return admin.Update(ctx, obj, client.DryRunAll)
}

func (fc *fakeCluster) found(live client.Reader) []string {
	fc.Helper()
	found, err := (&shipped.Look{Live: live, Account: framework.ManagerUser, Image: deploy.Image}).Find(fc.ctx)
	fc.must(err)
	return found.Missing
}

// What the API server fills in by itself is no difference, and whatever weakens a
// bound is one.
func TestTheBoundsAreComparedWithWhatWasShipped(t *testing.T) {
	fc := aFakeCluster(t)
	if all := fc.found(operator); len(all) > 0 {
		t.Errorf("nobody has changed them: %s", strings.Join(all, "\n"))
	}
	set := func(to any, path ...string) func(*unstructured.Unstructured) bool {
		return func(obj *unstructured.Unstructured) bool {
			fc.must(unstructured.SetNestedField(obj.Object, to, path...))
			return true
		}
	}
	for name, c := range map[string]struct {
		object string
		change func(*unstructured.Unstructured) bool
		at     string
	}{
		"a policy that fails open": {"ValidatingAdmissionPolicy lull-status", set("Ignore", "spec", "failurePolicy"), "spec.failurePolicy"},
		"a policy that leaves a namespace out": {
			"ValidatingAdmissionPolicy lull-manager-pods", set("b", "spec", "matchConstraints", "namespaceSelector", "matchLabels", "a"), "spec.matchConstraints.namespaceSelector",
		},
		"a binding that only warns": {
			"ValidatingAdmissionPolicyBinding lull-manager-exec", set([]any{"Warn"}, "spec", "validationActions"), "spec.validationActions[0]",
		},
		"a binding that leaves a namespace out": {
			"ValidatingAdmissionPolicyBinding lull-manager-exec", set("b", "spec", "matchResources", "namespaceSelector", "matchLabels", "a"), "spec.matchResources",
		},
		"a kind without a status of its own": {
			"CustomResourceDefinition volumebackups.lull.dev", func(obj *unstructured.Unstructured) bool {
				versions, _, err := unstructured.NestedSlice(obj.Object, "spec", "versions")
				fc.must(err)
				delete(versions[0].(map[string]any), "subresources")
				fc.must(unstructured.SetNestedSlice(obj.Object, versions, "spec", "versions"))
				return true
			}, "spec.versions[0].subresources",
		},
	} {
		t.Run(name, func(t *testing.T) {
			changed := changedReader{operator, func(obj *unstructured.Unstructured) bool {
				return obj.GetKind()+" "+obj.GetName() == c.object && c.change(obj)
			}}
			if got, want := fc.found(changed), []string{c.object + " differs in " + c.at}; !slices.Equal(got, want) {
				t.Errorf("%q, not %q", got, want)
			}
		})
	}
}

func TestTheBoundsAreLookedAtEveryHour(t *testing.T) {
	fc := aFakeCluster(t)
	now, told := clocktesting.NewFakeClock(time.Now()), make(chan shipped.Found)
	look := &shipped.Look{
		Live: operator, Account: framework.ManagerUser, Image: deploy.Image, Clock: now, Log: logr.Discard(),
		Tell: func(_ context.Context, found shipped.Found) error { told <- found; return nil },
	}
	ended := make(chan error)
	ctx, stop := context.WithCancel(fc.ctx)
	go func() { ended <- look.Start(ctx) }()
	for range 3 {
		if found := <-told; len(found.Missing) > 0 {
			t.Errorf("nobody has changed them: %v", found)
		}
		fc.eventually("it waits", now.HasWaiters)
		now.Step(59 * time.Minute)
		if !now.HasWaiters() {
			t.Error("it looks before the hour is over")
		}
		now.Step(time.Minute)
	}
	<-told
	stop()
	fc.must(<-ended)
}

func TestTheDeploymentSaysWhetherItsPoliciesAreInForce(t *testing.T) {
	fc := aFakeCluster(t)
	kube, err := kubernetes.NewForConfig(asManager)
	fc.must(err)
	told := events.NewFakeRecorder(10)
	on := &shipped.OnDeployment{Kube: kube, Namespace: systemNamespace, Events: told, Clock: clock.RealClock{}}
	condition := func() appsv1.DeploymentCondition {
		var d appsv1.Deployment
		fc.must(admin.Get(fc.ctx, client.ObjectKey{Namespace: systemNamespace, Name: shipped.DeploymentName}, &d))
		i := slices.IndexFunc(d.Status.Conditions, func(c appsv1.DeploymentCondition) bool { return c.Type == shipped.ConditionPoliciesInForce })
		if i < 0 {
			return appsv1.DeploymentCondition{}
		}
		return d.Status.Conditions[i]
	}
	fc.must(on.Tell(fc.ctx, shipped.Found{}))
	if c := condition(); c.Status != corev1.ConditionTrue || len(told.Events) > 0 {
		t.Errorf("nothing is missing: %+v", c)
	}
	gone := shipped.Found{Missing: []string{"ValidatingAdmissionPolicy lull-status is missing"}}
	for range 2 {
		fc.must(on.Tell(fc.ctx, gone))
	}
	if c := condition(); c.Status != corev1.ConditionFalse || c.Reason != shipped.ReasonPoliciesMissing || !strings.Contains(c.Message, "lull-status is missing. Apply deploy/ of this version again") {
		t.Errorf("one is missing: %+v", c)
	}
	if len(told.Events) != 1 {
		t.Errorf("%d events tell it", len(told.Events))
	}
	fc.must(on.Tell(fc.ctx, shipped.Found{}))
	if c := condition(); c.Status != corev1.ConditionTrue {
		t.Errorf("all is there again: %+v", c)
	}
}
