package cluster

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/polymorphichelpers"
)

// Container is how one container of a Job's pod stands.
type Container struct {
	Pod, Name string
	// Started says that there is, or was, a process with a log.
	Started bool
	// Ended says that the process is over; ExitCode, Reason and Message are
	// then the kubelet's.
	Ended    bool
	ExitCode int32
	Restarts int32
	Reason   string
	Message  string
	// Waiting is the kubelet's reason why there is no process now, and
	// WaitingMessage its words.
	Waiting, WaitingMessage string
}

// Failed says whether the container ended badly.
func (c Container) Failed() bool { return c.Ended && c.ExitCode != 0 }

// Containers reads the containers of a pod, init containers first.
func Containers(pod *corev1.Pod) []Container {
	var found []Container
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		c := Container{Pod: pod.Name, Name: s.Name, Restarts: s.RestartCount}
		switch {
		case s.State.Terminated != nil:
			c.ended(s.State.Terminated)
		case s.State.Running != nil:
			c.Started = true
		case s.State.Waiting != nil:
			c.Waiting, c.WaitingMessage = s.State.Waiting.Reason, s.State.Waiting.Message
			if s.LastTerminationState.Terminated != nil {
				c.ended(s.LastTerminationState.Terminated)
			}
		}
		found = append(found, c)
	}
	return found
}

func (c *Container) ended(t *corev1.ContainerStateTerminated) {
	c.Started, c.Ended, c.ExitCode, c.Reason, c.Message = true, true, t.ExitCode, t.Reason, t.Message
}

// Warnings returns the events of type Warning in the namespace.
func (c *Client) Warnings(ctx context.Context, namespace string) ([]corev1.Event, error) {
	events, err := c.core()
	if err != nil {
		return nil, err
	}
	c.lists.Add(1)
	list, err := events.Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: warnings})
	if err != nil {
		return nil, fmt.Errorf("list the events in %s: %w", namespace, err)
	}
	return list.Items, nil
}

// Pods returns the pods of the Job with the UID, oldest first.
func (c *Client) Pods(ctx context.Context, namespace, jobUID string) ([]corev1.Pod, error) {
	pods, err := c.core()
	if err != nil {
		return nil, err
	}
	c.lists.Add(1)
	list, err := pods.Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: podsOf(jobUID)})
	if err != nil {
		return nil, fmt.Errorf("list the pods of the Job: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int {
		if d := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list.Items, nil
}

// LogTail returns the last lines of a container's log.
func (c *Client) LogTail(ctx context.Context, pod *corev1.Pod, container string, lines int64) (string, error) {
	requests, err := polymorphichelpers.LogsForObjectFn(c.getter, pod, &corev1.PodLogOptions{Container: container, TailLines: &lines}, 0, false)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, request := range requests {
		stream, err := request.Stream(ctx)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(&all, stream)
		if closeErr := stream.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return "", err
		}
	}
	return all.String(), nil
}

// LogStream follows a container's log from its first line to its end.
func (c *Client) LogStream(ctx context.Context, namespace, pod, container string) (io.ReadCloser, error) {
	pods, err := c.core()
	if err != nil {
		return nil, err
	}
	return pods.Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{Container: container, Follow: true}).Stream(ctx)
}

func (c *Client) core() (corev1client.CoreV1Interface, error) {
	client, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return nil, err
	}
	return corev1client.NewForConfigAndClient(c.config, client)
}
