package node

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// unschedulablePeriod is the pause before a pod that did not fit is looked at
// again: the node's labels may have changed.
const unschedulablePeriod = time.Second

// needsBinding tells whether a pod waits for the default scheduler, whose part
// the node plays.
func needsBinding(pod *corev1.Pod) bool {
	return pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil &&
		pod.Spec.SchedulerName == corev1.DefaultSchedulerName && len(pod.Spec.SchedulingGates) == 0
}

// bindPods binds queued pods until the queue is shut down.
func (n *Node) bindPods(ctx context.Context) {
	for {
		key, stopped := n.unbound.Get()
		if stopped {
			return
		}
		if err := n.bindQueued(ctx, key); err != nil && !isGone(err) && ctx.Err() == nil {
			n.log.Warn("could not bind a pod", "pod", key.String(), "error", err)
			n.unbound.AddRateLimited(key)
		} else {
			n.unbound.Forget(key)
		}
		n.unbound.Done(key)
	}
}

// bindQueued binds a pod of the informer's cache, or tells why it cannot.
func (n *Node) bindQueued(ctx context.Context, key cache.ObjectName) error {
	pod, err := n.pods.Pods(key.Namespace).Get(key.Name)
	if err != nil || !needsBinding(pod) {
		return err
	}
	node, err := n.client.CoreV1().Nodes().Get(ctx, n.cfg.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get the node: %w", err)
	}
	if problem := misfit(pod, node); problem != "" {
		n.unbound.AddAfter(key, unschedulablePeriod)
		return n.markUnschedulable(ctx, pod, "0/1 nodes are available: 1 "+problem+".")
	}
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: n.cfg.Name},
	}
	if err := n.client.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{}); err != nil {
		return err
	}
	n.event(pod, corev1.EventTypeNormal, "Scheduled", fmt.Sprintf("Successfully assigned %s to %s", key, n.cfg.Name))
	return nil
}

// misfit tells why a pod cannot run on the node, in the scheduler's words; it is
// empty when it can.
func misfit(pod *corev1.Pod, node *corev1.Node) string {
	if node.Spec.Unschedulable {
		return "node(s) were unschedulable"
	}
	matches, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node)
	if err != nil || !matches {
		return "node(s) didn't match Pod's node affinity/selector"
	}
	return ""
}

// markUnschedulable writes the condition that a scheduler writes, once.
func (n *Node) markUnschedulable(ctx context.Context, pod *corev1.Pod, message string) error {
	status := pod.Status.DeepCopy()
	setCondition(status, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: message, ObservedGeneration: pod.Generation,
	}, metav1.Now())
	patch, err := statusPatch(pod.UID, &pod.Status, status)
	if err != nil || patch == nil {
		return err
	}
	if _, err := n.patchStatus(ctx, pod, patch); err != nil {
		return err
	}
	n.event(pod, corev1.EventTypeWarning, "FailedScheduling", message)
	return nil
}
