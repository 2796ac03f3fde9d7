package shipped

import (
	"context"
	"encoding/json"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"github.com/lull-dev/lull/snapshot/names"
)

// ConditionPoliciesInForce is a condition of the operator's Deployment: False where
// bounds are missing. kubectl wait --for=condition=PoliciesInForce deployment/lull-manager
const ConditionPoliciesInForce appsv1.DeploymentConditionType = "PoliciesInForce"

// The reasons of the condition, and of the event.
const (
	ReasonAsShipped       = "AsShipped"
	ReasonPoliciesMissing = "PoliciesMissing"
)

// DeploymentName is what the operator's Deployment is called.
const DeploymentName = "lull-manager"

const maxMessage = 1024 // that of an event's note

// OnDeployment tells by a condition of the operator's own Deployment, which
// Kubernetes leaves alone there, and by an event.
type OnDeployment struct {
	Kube      kubernetes.Interface
	Namespace string
	Events    events.EventRecorder
	Clock     clock.PassiveClock
}

// Tell writes the condition where it says something else than before.
func (o *OnDeployment) Tell(ctx context.Context, found Found) error {
	deployments := o.Kube.AppsV1().Deployments(o.Namespace)
	d, err := deployments.Get(ctx, DeploymentName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) { // installed in another way
		return nil
	}
	if err != nil {
		return err
	}
	was, now := conditionOf(d), o.condition(found)
	if was.Status == now.Status && was.Message == now.Message {
		return nil
	}
	if was.Status == now.Status {
		now.LastTransitionTime = was.LastTransitionTime
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []appsv1.DeploymentCondition{now}}})
	if err != nil {
		return err
	}
	if _, err := deployments.Patch(ctx, d.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return err
	}
	if now.Status == corev1.ConditionFalse {
		d.TypeMeta = metav1.TypeMeta{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "Deployment"}
		o.Events.Eventf(d, nil, corev1.EventTypeWarning, ReasonPoliciesMissing, "Look", "%s", now.Message)
	}
	return nil
}

func (o *OnDeployment) condition(found Found) appsv1.DeploymentCondition {
	now := metav1.NewTime(o.Clock.Now())
	c := appsv1.DeploymentCondition{
		Type: ConditionPoliciesInForce, Status: corev1.ConditionTrue, Reason: ReasonAsShipped,
		Message: names.Clip(found.String(), maxMessage), LastUpdateTime: now, LastTransitionTime: now,
	}
	if len(found.Missing) > 0 {
		c.Status, c.Reason = corev1.ConditionFalse, ReasonPoliciesMissing
	}
	return c
}

func conditionOf(d *appsv1.Deployment) appsv1.DeploymentCondition {
	for _, c := range d.Status.Conditions {
		if c.Type == ConditionPoliciesInForce {
			return c
		}
	}
	return appsv1.DeploymentCondition{}
}
