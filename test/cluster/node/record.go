package node

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// containerRecord is what the node knows of one container of a pod.
type containerRecord struct {
	spec     corev1.Container
	init     bool
	sidecar  bool
	state    corev1.ContainerState
	last     corev1.ContainerState
	restarts int32
	id       string
	ready    bool
	logs     []*logFile
}

// newRecords lists the containers of a pod, init containers first.
func newRecords(pod *corev1.Pod) []*containerRecord {
	records := make([]*containerRecord, 0, len(pod.Spec.InitContainers)+len(pod.Spec.Containers))
	waiting := "ContainerCreating"
	if len(pod.Spec.InitContainers) > 0 {
		waiting = "PodInitializing"
	}
	for _, c := range pod.Spec.InitContainers {
		r := &containerRecord{spec: c, init: true, sidecar: podutil.IsRestartableInitContainer(&c)}
		records = append(records, r.wait(waiting, ""))
	}
	for _, c := range pod.Spec.Containers {
		r := &containerRecord{spec: c}
		records = append(records, r.wait(waiting, ""))
	}
	return records
}

// wait puts the container into a waiting state. An end that it leaves behind
// becomes the last state.
func (r *containerRecord) wait(reason, message string) *containerRecord {
	if r.state.Terminated != nil {
		r.last = r.state
	}
	r.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	r.ready = false
	return r
}

// run notes that a process was started.
func (r *containerRecord) run(id string, started time.Time) {
	if r.state.Terminated != nil {
		r.last = r.state
	}
	r.id = id
	r.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(started)}}
	r.ready = r.spec.ReadinessProbe == nil
}

// end notes how the container ended.
func (r *containerRecord) end(terminated corev1.ContainerStateTerminated) {
	terminated.ContainerID = r.id
	r.state = corev1.ContainerState{Terminated: &terminated}
	r.ready = r.init && !r.sidecar && terminated.ExitCode == 0
}

// lost gives a container that never ran the end that a kubelet reports for it.
func (r *containerRecord) lost() {
	r.state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		Reason:   "ContainerStatusUnknown",
		Message:  "The container could not be located when the pod was terminated",
		ExitCode: 137,
	}}
	r.ready = false
}

// ended returns the exit code of the current or, while a restart is due, of the
// last end.
func (r *containerRecord) ended() (exitCode int32, ok bool) {
	switch {
	case r.state.Terminated != nil:
		return r.state.Terminated.ExitCode, true
	case r.state.Waiting != nil && r.last.Terminated != nil:
		return r.last.Terminated.ExitCode, true
	default:
		return 0, false
	}
}

// status is the API's form of the record.
func (r *containerRecord) status() corev1.ContainerStatus {
	started := r.state.Running != nil
	return corev1.ContainerStatus{
		Name:                 r.spec.Name,
		State:                r.state,
		LastTerminationState: r.last,
		Ready:                r.ready,
		RestartCount:         r.restarts,
		Image:                r.spec.Image,
		ImageID:              r.imageID(),
		ContainerID:          r.id,
		Started:              &started,
	}
}

func (r *containerRecord) imageID() string {
	if r.id == "" {
		return ""
	}
	return r.spec.Image
}

// log returns the log that a request means, or the error a kubelet answers.
func (r *containerRecord) log(pod string, previous bool) (*logFile, error) {
	name := r.spec.Name
	count := len(r.logs)
	switch {
	case previous && (r.last.Terminated == nil || count == 0):
		return nil, fmt.Errorf("previous terminated container %q in pod %q not found", name, pod)
	case previous && r.state.Waiting == nil && count > 1:
		return r.logs[count-2], nil
	case count > 0:
		return r.logs[count-1], nil
	case r.state.Waiting == nil:
		return nil, fmt.Errorf("container %q in pod %q is terminated", name, pod)
	case r.state.Waiting.Reason == reasonPull:
		return nil, fmt.Errorf("container %q in pod %q is waiting to start: image can't be pulled", name, pod)
	case r.state.Waiting.Reason == reasonPullBackOff:
		return nil, fmt.Errorf("container %q in pod %q is waiting to start: trying and failing to pull image", name, pod)
	default:
		return nil, fmt.Errorf("container %q in pod %q is waiting to start: %s", name, pod, r.state.Waiting.Reason)
	}
}
