package main

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

func TestRestartOnFailureCounts(t *testing.T) {
	s := newSpace(t)
	s.pod(`
metadata: {name: again}
spec:
  restartPolicy: OnFailure
  containers:
  - {name: main, image: any, command: [sh, -c, "echo try; test -e tried || { touch tried; exit 1; }"]}
`)
	status := s.podIn("again", corev1.PodSucceeded).Status.ContainerStatuses[0]
	equal(t, "restarts", status.RestartCount, 1)
	equal(t, "last exit code", status.LastTerminationState.Terminated.ExitCode, 1)
	equal(t, "log", s.log("again"), "try\n")
	equal(t, "previous log", s.kubectl("logs", "again", "--previous"), "try\n")
}

func TestCrashLoop(t *testing.T) {
	s := newSpace(t)
	s.pod(`
metadata: {name: loop}
spec:
  containers:
  - {name: main, image: any, command: ["false"]}
`)
	pod := s.podWhen("loop", "in CrashLoopBackOff", func(p *corev1.Pod) bool { return waitingReason(p) == "CrashLoopBackOff" })
	equal(t, "phase", pod.Status.Phase, corev1.PodRunning)
}

func TestPodDeadline(t *testing.T) {
	s := newSpace(t)
	s.pod(`
metadata: {name: late}
spec:
  activeDeadlineSeconds: 1
  restartPolicy: Never
  containers:
  - {name: main, image: any, command: [sleep, "600"]}
`)
	pod := s.podIn("late", corev1.PodFailed)
	equal(t, "reason", pod.Status.Reason, "DeadlineExceeded")
	equal(t, "exit code", pod.Status.ContainerStatuses[0].State.Terminated.ExitCode, 143)
}

func TestInitContainersRunInOrder(t *testing.T) {
	s := newSpace(t)
	s.pod(`
metadata: {name: steps}
spec:
  restartPolicy: Never
  initContainers:
  - {name: one, image: any, command: [sh, -c, "sleep 0.2; echo one >> steps"]}
  - {name: side, image: any, restartPolicy: Always, command: [sh, -c, "echo side >> steps; exec sleep 600"]}
  - {name: two, image: any, command: [sh, -c, "until grep -q side steps; do sleep 0.1; done; echo two >> steps"]}
  containers:
  - {name: main, image: any, command: [cat, steps]}
`)
	pod := s.podIn("steps", corev1.PodSucceeded)
	equal(t, "log", s.kubectl("logs", "steps", "-c", "main"), "one\nside\ntwo\n")
	equal(t, "sidecar's exit code", pod.Status.InitContainerStatuses[1].State.Terminated.ExitCode, 143)
}

func TestFailedInitContainerFailsThePod(t *testing.T) {
	s := newSpace(t)
	s.pod(`
metadata: {name: stuck}
spec:
  restartPolicy: Never
  initContainers:
  - {name: one, image: any, command: [sh, -c, "exit 3"]}
  containers:
  - {name: main, image: any, command: ["true"]}
`)
	pod := s.podIn("stuck", corev1.PodFailed)
	equal(t, "main waits", pod.Status.ContainerStatuses[0].State.Waiting.Reason, "PodInitializing")
}

func TestUnknownCommand(t *testing.T) {
	s := newSpace(t)
	s.pod(`
metadata: {name: typo}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: any, command: [no-such-command]}
`)
	end := s.podIn("typo", corev1.PodFailed).Status.ContainerStatuses[0].State.Terminated
	equal(t, "reason", end.Reason, "StartError")
	equal(t, "exit code", end.ExitCode, 128)
}

func TestMissingImage(t *testing.T) {
	s := newSpace(t)
	s.pod(`
metadata: {name: nowhere}
spec:
  containers:
  - {name: main, image: "registry.example/app:missing", command: ["true"]}
`)
	pod := s.podWhen("nowhere", "in ImagePullBackOff", func(p *corev1.Pod) bool { return waitingReason(p) == "ImagePullBackOff" })
	equal(t, "phase", pod.Status.Phase, corev1.PodPending)
}

func TestUnschedulable(t *testing.T) {
	s := newSpace(t)
	s.pod(`
metadata: {name: picky}
spec:
  nodeSelector: {disk: golden}
  containers:
  - {name: main, image: any}
`)
	s.podWhen("picky", "unschedulable", func(p *corev1.Pod) bool {
		_, c := podutil.GetPodCondition(&p.Status, corev1.PodScheduled)
		return c != nil && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable
	})
	s.eventually("an event", func(ctx context.Context) (bool, string) {
		list, err := s.client.CoreV1().Events(s.name).List(ctx, metav1.ListOptions{FieldSelector: "reason=FailedScheduling"})
		return err == nil && len(list.Items) > 0, "no event"
	})
}

func TestDeletionSendsTermFirst(t *testing.T) {
	s := newSpace(t)
	s.pod(`
metadata: {name: polite, finalizers: [example.org/keep]}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: any
    command: [sh, -c, "trap 'echo got term; exit 5' TERM; echo up; while :; do sleep 0.1; done"]
`)
	s.awaitLog("polite", "up\n")
	s.delete("polite")
	end := s.podIn("polite", corev1.PodFailed).Status.ContainerStatuses[0].State.Terminated
	equal(t, "exit code", end.ExitCode, 5)
	s.letGo("polite")
}

func TestDeletionKillsAfterTheGracePeriod(t *testing.T) {
	s := newSpace(t)
	s.pod(`
metadata: {name: deaf, finalizers: [example.org/keep]}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: any, command: [sh, -c, "trap '' TERM; echo up; while :; do sleep 0.1; done"]}
`)
	s.awaitLog("deaf", "up\n")
	s.delete("deaf")
	end := s.podIn("deaf", corev1.PodFailed).Status.ContainerStatuses[0].State.Terminated
	equal(t, "exit code", end.ExitCode, 137)
	s.letGo("deaf")
}

func TestTerminationMessage(t *testing.T) {
	s := newSpace(t)
	s.pod(`
metadata: {name: teller}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: any, command: [sh, -c, 'printf "all 3 tables" > "$TERMINATION_LOG"']}
`)
	end := s.podIn("teller", corev1.PodSucceeded).Status.ContainerStatuses[0].State.Terminated
	equal(t, "message", end.Message, "all 3 tables")
}

// awaitLog waits until the pod's log is as wanted.
func (s *space) awaitLog(pod, want string) {
	s.t.Helper()
	s.eventually("the log of "+pod, func(ctx context.Context) (bool, string) {
		text, err := s.client.CoreV1().Pods(s.name).GetLogs(pod, &corev1.PodLogOptions{}).DoRaw(ctx)
		return err == nil && string(text) == want, string(text)
	})
}

func (s *space) delete(pod string) {
	s.t.Helper()
	if err := s.client.CoreV1().Pods(s.name).Delete(s.t.Context(), pod, metav1.DeleteOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// letGo removes a pod's finalizers and waits until it is gone.
func (s *space) letGo(pod string) {
	s.t.Helper()
	s.kubectl("patch", "pod", pod, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	s.gone("the pod", func(ctx context.Context) error {
		_, err := s.client.CoreV1().Pods(s.name).Get(ctx, pod, metav1.GetOptions{})
		return err
	})
}

// waitingReason is why the pod's first container waits.
func waitingReason(p *corev1.Pod) string {
	if len(p.Status.ContainerStatuses) == 0 || p.Status.ContainerStatuses[0].State.Waiting == nil {
		return ""
	}
	return strings.TrimSpace(p.Status.ContainerStatuses[0].State.Waiting.Reason)
}
