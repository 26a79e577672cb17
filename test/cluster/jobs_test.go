package main

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestJobCompletes(t *testing.T) {
	s := newSpace(t)
	s.job(`
metadata: {name: greet}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: any, command: [sh, -c, "echo hello"]}
`)
	s.jobCondition("greet", batchv1.JobComplete)
	pod := s.podOf("greet")
	equal(t, "phase", pod.Status.Phase, corev1.PodSucceeded)
	equal(t, "log", s.log(pod.Name), "hello\n")
	end := pod.Status.ContainerStatuses[0].State.Terminated
	equal(t, "reason", end.Reason, "Completed")
	equal(t, "finished", end.FinishedAt.IsZero(), false)
	equal(t, "has an ID", end.ContainerID != "", true)
	conditions := make(map[corev1.PodConditionType]corev1.ConditionStatus)
	for _, c := range pod.Status.Conditions {
		conditions[c.Type] = c.Status
	}
	equal(t, "scheduled", conditions[corev1.PodScheduled], corev1.ConditionTrue)
	equal(t, "initialized", conditions[corev1.PodInitialized], corev1.ConditionTrue)
	equal(t, "ready", conditions[corev1.PodReady], corev1.ConditionFalse)
}

func TestJobFails(t *testing.T) {
	s := newSpace(t)
	s.job(`
metadata: {name: bad}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: any
        command: [sh, -c, "echo went wrong >&2; exit 7"]
        terminationMessagePolicy: FallbackToLogsOnError
`)
	equal(t, "reason", s.jobCondition("bad", batchv1.JobFailed).Reason, batchv1.JobReasonBackoffLimitExceeded)
	end := s.podOf("bad").Status.ContainerStatuses[0].State.Terminated
	equal(t, "exit code", end.ExitCode, 7)
	equal(t, "reason", end.Reason, "Error")
	equal(t, "message", end.Message, "went wrong\n")
}

func TestJobDeadline(t *testing.T) {
	s := newSpace(t)
	s.job(`
metadata: {name: slow}
spec:
  activeDeadlineSeconds: 1
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: any, command: [sleep, "600"]}
`)
	equal(t, "reason", s.jobCondition("slow", batchv1.JobFailed).Reason, batchv1.JobReasonDeadlineExceeded)
}

func TestForegroundDeletionWaitsForThePod(t *testing.T) {
	s := newSpace(t)
	s.job(`
metadata: {name: stubborn}
spec:
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 2
      containers:
      - {name: main, image: any, command: [sh, -c, "trap '' TERM; while :; do sleep 1; done"]}
`)
	pod := s.podIn(s.podOf("stubborn").Name, corev1.PodRunning)
	foreground := metav1.DeletePropagationForeground
	jobs := s.client.BatchV1().Jobs(s.name)
	if err := jobs.Delete(t.Context(), "stubborn", metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil {
		t.Fatal(err)
	}
	s.eventually("the job is gone, and the pod before it", func(ctx context.Context) (bool, string) {
		_, jobErr := jobs.Get(ctx, "stubborn", metav1.GetOptions{})
		_, podErr := s.client.CoreV1().Pods(s.name).Get(ctx, pod.Name, metav1.GetOptions{})
		if jobErr != nil && podErr == nil {
			t.Fatal("the job has gone before its pod")
		}
		return jobErr != nil, "the job is there"
	})
}

func TestTTLRemovesTheJob(t *testing.T) {
	s := newSpace(t)
	s.job(`
metadata: {name: brief}
spec:
  ttlSecondsAfterFinished: 1
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: any, command: ["true"]}
`)
	s.gone("the job", func(ctx context.Context) error {
		_, err := s.client.BatchV1().Jobs(s.name).Get(ctx, "brief", metav1.GetOptions{})
		return err
	})
}

func TestDeploymentBecomesAvailable(t *testing.T) {
	s := newSpace(t)
	deployment := decode[appsv1.Deployment](t, `
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: any
        readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1}
`)
	deployments := s.client.AppsV1().Deployments(s.name)
	if _, err := deployments.Create(t.Context(), deployment, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
}

func TestKubectlWaitsForAndShowsAJob(t *testing.T) {
	s := newSpace(t)
	s.kubectl("create", "job", "hello", "--image=any", "--", "echo", "hi there")
	s.kubectl("wait", "--for=condition=Complete", "job/hello", "--timeout=60s")
	equal(t, "status", s.kubectl("get", "job", "hello", "--no-headers", "-o", "custom-columns=S:.status.succeeded"), "1\n")
	equal(t, "log", s.kubectl("logs", "job/hello"), "hi there\n")
}
