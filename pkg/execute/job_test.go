package execute

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// onStart does something to a Job when it has started.
func (s *scene) onStart(do func(uid string)) {
	s.on = func(e report.Event) {
		if e.Type == report.JobStarted {
			do(e.UID)
		}
	}
}

func TestVerdictOnAJob(t *testing.T) {
	job := named("Job", "migrate")
	ended := []report.Type{report.JobStarted, report.JobComplete, report.JobFailed}
	tests := []struct {
		name   string
		script jobScript
		ttl    bool
		want   report.Outcome
		events []string
	}{
		{"complete", jobScript{}, false, report.Done, []string{"job-started Job/migrate", "job-complete Job/migrate"}},
		{"failed", jobScript{end: "Failed"}, false, report.Failed, []string{"job-started Job/migrate", "job-failed Job/migrate TheFailed"}},
		{"complete, and removed by its TTL at once", jobScript{ttl: new(time.Duration)}, true, report.Done, []string{"job-started Job/migrate", "job-complete Job/migrate"}},
		{"failed, and removed by its TTL at once", jobScript{end: "Failed", ttl: new(time.Duration)}, true, report.Failed, []string{"job-started Job/migrate", "job-failed Job/migrate TheFailed"}},
		{"no end in time", jobScript{end: "never"}, false, report.TimedOut, []string{"job-started Job/migrate"}},
	}
	for _, tt := range tests {
		play(t, tt.name, func(s *scene) {
			s.jobs["migrate"] = tt.script
			u := thing(job, "1")
			if tt.ttl {
				with(u, "ttlSecondsAfterFinished", int64(0))
			}
			s.only(u)
			s.step("later", s.creates(thing(configRef, "1"))).After = append(s.steps[1].After, key("app"))
			s.ends(tt.want)
			same(s.t, "events", s.told(ended...), tt.events)
			same(s.t, "the next step was begun", s.live(configRef) != nil, tt.want == report.Done)
		})
	}
	play(t, "vanished", func(s *scene) {
		s.only(thing(job, "1"))
		s.onStart(func(uid string) { s.vanish(job, uid) })
		r := s.ends(report.Failed)
		says(s.t, r.Steps[0].Message, "whether it ran is unknown")
	})
	play(t, "replaced by somebody", func(s *scene) {
		s.only(thing(job, "1"))
		s.jobs["migrate"] = jobScript{end: "never"}
		s.onStart(func(string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			u := thing(job, "2")
			u.SetUID("somebody's")
			s.put(u) // A watch that was broken skips the deletion.
		})
		says(s.t, s.ends(report.Failed).Steps[0].Message, "whether it ran is unknown")
	})
	play(t, "suspended by the plan", func(s *scene) {
		s.only(with(thing(job, "1"), "suspend", true))
		s.ends(report.Done)
		same(s.t, "events", s.told(report.Notice, report.JobStarted, report.JobComplete), []string{"notice Job/migrate the Job is suspended, it has not run"})
	})
	play(t, "suspended by somebody, and resumed", func(s *scene) {
		s.only(thing(job, "1"))
		s.jobs["migrate"] = jobScript{end: "never"}
		s.onStart(func(uid string) {
			go func() {
				s.set(job, uid, func(u *unstructured.Unstructured) { with(u, "suspend", true) })
				if pause(s.ctx, 20*time.Second) == nil {
					s.set(job, uid, func(u *unstructured.Unstructured) { with(u, "suspend", false) })
					s.end(job, uid, "Complete")
				}
			}()
		})
		start := time.Now()
		s.ends(report.Done)
		if took := time.Since(start); took < 20*time.Second {
			s.t.Errorf("it took %s", took)
		}
		same(s.t, "notices", s.told(report.Notice), []string{"notice Job/migrate somebody has suspended the Job: waiting until it is resumed"})
	})
	play(t, "still running from before", func(s *scene) {
		live := s.exists(thing(job, "1"))
		c := s.change(thing(job, "1"), plan.Unchanged)
		s.step("app", c)
		go func() {
			if pause(s.ctx, 5*time.Second) == nil {
				s.end(job, string(live.GetUID()), "Complete")
			}
		}()
		s.ends(report.Done)
		same(s.t, "events", s.told(report.Notice, report.JobStarted, report.JobComplete), []string{
			"notice Job/migrate still runs from before, waiting for its end: not started", "job-complete Job/migrate",
		})
	})
	play(t, "read again when the server does not answer", func(s *scene) {
		live := s.exists(thing(job, "1"))
		s.step("app", s.change(thing(job, "1"), plan.Unchanged))
		s.failing("get Job/migrate", 3, fault{err: reset})
		s.end(job, string(live.GetUID()), "Complete")
		s.ends(report.Done)
	})
}

func TestWhatIsToldWhileWaiting(t *testing.T) {
	job := named("Job", "migrate")
	pod := func(reason, message string) corev1.Pod { return waitingPod("migrate-1", "main", reason, message) }
	play(t, "each trouble once, and with the timeout", func(s *scene) {
		s.jobs["migrate"] = jobScript{end: "never"}
		s.only(thing(job, "1"))
		s.onStart(func(uid string) {
			for range 3 {
				s.showPod(uid, pod("ErrImagePull", "not found"))
				s.showPod(uid, pod("ImagePullBackOff", "back-off"))
			}
			s.showPod(uid, waitingPod("migrate-2", "main", "ImagePullBackOff", "back-off"))
		})
		r := s.ends(report.TimedOut)
		same(s.t, "notices", s.told(report.Notice), []string{
			"notice Job/migrate ErrImagePull: container main of pod migrate-1: not found", "notice Job/migrate ImagePullBackOff: container main of pod migrate-1: back-off",
		})
		says(s.t, r.Steps[0].Message, "timed out", "running: 1 active; ImagePullBackOff: container main of pod migrate-1: back-off; ImagePullBackOff: container main of pod migrate-2: back-off")
		for _, e := range s.events {
			if e.Type == report.Notice && !strings.HasPrefix(e.Message, e.Reason+": ") {
				s.t.Errorf("the reason of %q is %q", e.Message, e.Reason)
			}
		}
	})
	play(t, "what was overcome is not told with the timeout", func(s *scene) {
		s.jobs["migrate"] = jobScript{end: "never"}
		s.only(thing(job, "1"))
		s.onStart(func(uid string) {
			s.showPod(uid, pod("ContainerCreating", ""))
			go func() {
				_ = pause(s.ctx, time.Second)
				s.warn(event("FailedMount", "no such secret", "migrate-1"))
				s.showPod(uid, pod("ErrImagePull", "not found"))
				_ = pause(s.ctx, time.Second)
				running := pod("", "")
				running.Status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
				s.showPod(uid, running)
			}()
		})
		r := s.ends(report.TimedOut)
		same(s.t, "notices", len(s.told(report.Notice)), 2)
		says(s.t, r.Steps[0].Message, "Job/shop/migrate: running: 1 active; --timeout")
	})
	play(t, "that no pod can be created, by this Job's events alone", func(s *scene) {
		s.jobs["migrate"] = jobScript{end: "never"}
		s.only(thing(job, "1"))
		s.onStart(func(uid string) {
			s.warn(event("FailedCreate", "of another Job", "other"))
			s.warn(event("FailedCreate", "exceeded quota", uid))
		})
		r := s.ends(report.TimedOut)
		same(s.t, "notices", s.told(report.Notice), []string{"notice Job/migrate FailedCreate: exceeded quota"})
		says(s.t, r.Steps[0].Message, "FailedCreate: exceeded quota")
	})
	play(t, "that it cannot be seen, and the Job is followed nevertheless", func(s *scene) {
		forbidden := apierrors.NewForbidden(resourceOf(named("Pod", "")), "", errors.New("no"))
		s.failing("watch Pod/uid-1", 1, fault{err: forbidden})
		s.failing("watch Event/", 1, fault{err: forbidden})
		s.only(thing(job, "1"))
		s.ends(report.Done)
		same(s.t, "notices", len(s.told(report.Notice)), 2)
	})
}

func TestFailFast(t *testing.T) {
	job := named("Job", "migrate")
	tests := []struct {
		name string
		show func(s *scene, uid string)
		want report.Outcome
	}{
		{"an image that cannot be pulled", func(s *scene, uid string) { s.showPod(uid, waitingPod("p", "main", "ErrImagePull", "not found")) }, report.Failed},
		{"no pod can be created, again and again", func(s *scene, uid string) {
			s.warn(event("FailedCreate", `pods "migrate-a" is forbidden`, uid))
			s.warn(event("FailedCreate", `pods "migrate-b" is forbidden`, uid))
		}, report.Failed},
		{"no pod can be created, once", func(s *scene, uid string) { s.warn(event("FailedCreate", "no service account", uid)) }, report.Done},
		{"a volume that is not there yet", func(s *scene, uid string) {
			s.showPod(uid, waitingPod("p", "main", "ContainerCreating", ""))
			s.warn(event("FailedMount", "timed out", "p"))
		}, report.Done},
	}
	for _, tt := range tests {
		play(t, tt.name, func(s *scene) {
			s.opts.FailFast = true
			s.jobs["migrate"] = jobScript{runs: 30 * time.Second}
			s.only(thing(job, "1"))
			s.onStart(func(uid string) { tt.show(s, uid) })
			start := time.Now()
			r := s.ends(tt.want)
			if tt.want == report.Failed {
				says(s.t, r.Steps[0].Message, "--fail-fast", "the Job stays as it is")
				same(s.t, "at once", time.Since(start) < time.Second, true)
				same(s.t, "the Job stays", s.live(job) != nil, true)
			}
		})
	}
	play(t, "not without the option", func(s *scene) {
		s.jobs["migrate"] = jobScript{runs: 30 * time.Second}
		s.only(thing(job, "1"))
		s.onStart(func(uid string) { s.showPod(uid, waitingPod("p", "main", "ErrImagePull", "not found")) })
		s.ends(report.Done)
	})
}

func TestFailureTellsWhy(t *testing.T) {
	job := named("Job", "migrate")
	play(t, "containers, their last words and lines, and warnings", func(s *scene) {
		s.jobs["migrate"] = jobScript{end: "Failed"}
		s.only(thing(job, "1"))
		s.onStart(func(uid string) {
			s.showPod(uid, corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "migrate-1", UID: types.UID("pod")},
				Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
					Name:  "main",
					State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error", Message: "no such table\n"}},
				}}},
			})
			s.warn(event("Evicted", "the node was low on memory", "pod"))
			s.warn(event("Evicted", "another pod", "other"))
		})
		s.ends(report.Failed)
		same(s.t, "events", s.told(report.Notice, report.JobLog, report.JobFailed), []string{
			"notice Job/migrate Evicted: pod p: the node was low on memory",
			"job-log Job/migrate migrate-1/main: last words of migrate-1/main",
			"job-failed Job/migrate TheFailed; container main of pod migrate-1: exit code 3 (Error): no such table",
		})
	})
	play(t, "all logs, as they are written", func(s *scene) {
		s.opts.Logs = LogsAll
		s.only(thing(job, "1"))
		s.onStart(func(uid string) {
			s.showPod(uid, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "migrate-1"}, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
				{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
			}}})
		})
		s.ends(report.Done)
		same(s.t, "logs", s.told(report.JobLog, report.JobComplete), []string{"job-log Job/migrate migrate-1/main: words of migrate-1/main", "job-complete Job/migrate"})
	})
}
