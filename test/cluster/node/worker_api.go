package node

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/wait"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// retryPeriod is the pause after a failed call to the API server, which may be
// restarting.
const retryPeriod = 200 * time.Millisecond

// writeStatuses writes the status whenever it has changed.
func (w *podWorker) writeStatuses(ctx context.Context) {
	for {
		select {
		case <-w.dirty:
			w.flush(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// flush writes the status as it is now; it returns when that has worked, or
// when the pod is gone.
func (w *podWorker) flush(ctx context.Context) {
	w.retry(ctx, "write the status", w.writeStatus)
}

func (w *podWorker) writeStatus(ctx context.Context) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	if podutil.IsPodPhaseTerminal(w.written.Phase) {
		return nil
	}
	pod := w.current()
	old := w.written.DeepCopy()
	adoptConditions(old, &pod.Status)
	patch, err := statusPatch(pod.UID, old, w.status(old))
	if err != nil || patch == nil {
		return err
	}
	updated, err := w.node.patchStatus(ctx, pod, patch)
	if err != nil {
		return err
	}
	w.written = updated.Status.DeepCopy()
	return nil
}

// statusPatch returns the patch from one status to another, or nil when they are
// equal. The UID in it makes the patch fail for a later pod of the same name.
func statusPatch(uid types.UID, from, to *corev1.PodStatus) ([]byte, error) {
	if equality.Semantic.DeepEqual(from, to) {
		return nil, nil
	}
	before, err := json.Marshal(corev1.Pod{Status: *from})
	if err != nil {
		return nil, fmt.Errorf("encode the old status: %w", err)
	}
	after, err := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid}, Status: *to})
	if err != nil {
		return nil, fmt.Errorf("encode the new status: %w", err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Pod{})
	if err != nil {
		return nil, fmt.Errorf("compute the status patch: %w", err)
	}
	return patch, nil
}

// adoptConditions takes over the conditions that others have added to the pod,
// such as readiness gates and disruption targets.
func adoptConditions(status, seen *corev1.PodStatus) {
	for _, c := range seen.Conditions {
		if !ownCondition(c.Type) {
			podutil.UpdatePodCondition(status, &c)
		}
	}
}

func ownCondition(t corev1.PodConditionType) bool {
	return t == corev1.PodScheduled || t == corev1.PodInitialized || t == corev1.PodReady ||
		t == corev1.ContainersReady || t == corev1.PodReadyToStartContainers
}

// deleteObject removes the pod from the API after its containers have ended.
func (w *podWorker) deleteObject(ctx context.Context) {
	pod := w.current()
	w.retry(ctx, "delete the pod", func(ctx context.Context) error {
		options := metav1.NewDeleteOptions(0)
		options.Preconditions = metav1.NewUIDPreconditions(string(pod.UID))
		return w.node.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *options)
	})
}

// retry repeats a call until it works, the pod is gone, or ctx is done.
func (w *podWorker) retry(ctx context.Context, doing string, call func(context.Context) error) {
	_ = wait.PollUntilContextCancel(ctx, retryPeriod, true, func(ctx context.Context) (bool, error) {
		err := call(ctx)
		done := err == nil || isGone(err)
		if !done && ctx.Err() == nil {
			pod := w.current()
			w.node.log.Warn("could not "+doing, "pod", pod.Namespace+"/"+pod.Name, "error", err)
		}
		return done, nil
	})
}

// isGone tells from an error that the pod, or this pod of that name, is no more.
func isGone(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsConflict(err)
}
