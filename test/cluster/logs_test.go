package main

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestLogOptions(t *testing.T) {
	s := newSpace(t)
	s.pod(`
metadata: {name: talk}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: any, command: [sh, -c, "echo one; echo two >&2; printf three"]}
`)
	s.podIn("talk", corev1.PodSucceeded)
	equal(t, "all", s.kubectl("logs", "talk"), "one\ntwo\nthree\n")
	equal(t, "tail", s.kubectl("logs", "talk", "--tail=2"), "two\nthree\n")
	equal(t, "limit", s.kubectl("logs", "talk", "--limit-bytes=5"), "one\nt")
	equal(t, "since", s.kubectl("logs", "talk", "--since-time=2099-01-01T00:00:00Z"), "")
	stamp, text, _ := strings.Cut(s.kubectl("logs", "talk", "--timestamps", "--tail=1"), " ")
	equal(t, "line with timestamp", text, "three\n")
	if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil {
		t.Error(err)
	}
}

func TestFollowEndsWithTheContainer(t *testing.T) {
	s := newSpace(t)
	s.job(`
metadata: {name: count}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: any, command: [sh, -c, "for i in 1 2 3; do echo $i; sleep 0.3; done"]}
`)
	equal(t, "log", s.kubectl("logs", "-f", "job/count"), "1\n2\n3\n")
	s.jobCondition("count", batchv1.JobComplete)
}
