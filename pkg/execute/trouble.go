package execute

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
)

// trouble is something that keeps a Job from getting on.
type trouble struct {
	// reason is Kubernetes' word for it.
	reason string
	// container is empty where the whole pod is concerned, pod where it is the Job.
	container, pod string
	// message is in the words of the kubelet, the scheduler or the Job controller.
	message string
	// stuck says that there is no sense in waiting until somebody does something.
	stuck bool
}

// String returns all of it in one sentence.
func (t trouble) String() string {
	parts := []string{t.reason}
	switch {
	case t.container != "":
		parts = append(parts, fmt.Sprintf("container %s of pod %s", t.container, t.pod))
	case t.pod != "":
		parts = append(parts, "pod "+t.pod)
	}
	if t.message != "" {
		parts = append(parts, t.message)
	}
	return strings.Join(parts, ": ")
}

// stuckContainers are the kubelet's reasons for a container that waits and will
// not start by itself (k8s.io/kubernetes pkg/kubelet/images/types.go and
// pkg/kubelet/kuberuntime). A container that fails and is started again is none:
// backoffLimit counts that.
var stuckContainers = []string{
	"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
	"CreateContainerConfigError", "CreateContainerError",
}

// podTroubles returns what keeps a pod from starting, by its status.
func podTroubles(pod *corev1.Pod) []trouble {
	var found []trouble
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			found = append(found, trouble{reason: c.Reason, pod: pod.Name, message: c.Message, stuck: true})
		}
	}
	for _, c := range cluster.Containers(pod) {
		if slices.Contains(stuckContainers, c.Waiting) {
			found = append(found, trouble{reason: c.Waiting, container: c.Name, pod: pod.Name, message: c.WaitingMessage, stuck: true})
		}
	}
	return found
}

// eventTrouble returns what a warning about a Job or one of its pods says that
// the status of the pods does not, or false.
func eventTrouble(e *corev1.Event) (trouble, bool) {
	t := trouble{reason: e.Reason, message: e.Message}
	switch e.Reason {
	case "FailedCreate": // of pods, by the Job controller
		// The first attempt may come before the ServiceAccount of a new namespace.
		t.stuck = occurrences(e) > 1
	case "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox": // may pass by themselves
		t.pod = e.InvolvedObject.Name
	default:
		return t, false
	}
	return t, true
}

func occurrences(e *corev1.Event) int32 {
	if e.Series != nil {
		return max(e.Count, e.Series.Count)
	}
	return e.Count
}

// mattering returns those of the warnings that tell more of a failure than state,
// the Job's own words: the last few, each once, the oldest first. about holds the
// UIDs of the Job and of its pods.
func mattering(warnings []corev1.Event, about map[string]bool, state string) []corev1.Event {
	const most = 5
	var found []corev1.Event
	known := map[string]bool{}
	slices.SortStableFunc(warnings, func(a, b corev1.Event) int { return lastSeen(&b).Compare(lastSeen(&a)) })
	for _, e := range warnings {
		text := e.Reason + e.Message
		// BackOff says that a container is started again.
		if !about[string(e.InvolvedObject.UID)] || known[text] || e.Reason == "BackOff" || strings.HasPrefix(state, e.Reason+":") || len(found) == most {
			continue
		}
		known[text] = true
		found = append(found, e)
	}
	slices.Reverse(found)
	return found
}

// lastSeen is when the event happened last.
func lastSeen(e *corev1.Event) time.Time {
	last := e.CreationTimestamp.Time
	if e.Series != nil {
		last = later(last, e.Series.LastObservedTime.Time)
	}
	return later(later(last, e.EventTime.Time), e.LastTimestamp.Time)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
