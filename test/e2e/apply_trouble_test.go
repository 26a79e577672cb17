package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// changedPod is a Job whose pods have further fields.
func changedPod(fields string) string {
	return strings.Replace(job("migrate", "app:1", mark("ran")), "restartPolicy: Never", "restartPolicy: Never\n      "+fields, 1)
}

// changedContainer is a Job whose container has further fields.
func changedContainer(script, fields string) string {
	return strings.Replace(job("migrate", "app:1", script), "image: app:1", "image: app:1\n        "+fields, 1)
}

const missingKey = `env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: nowhere, key: password}}}]`

const noPods = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: no-pods}\nspec: {hard: {pods: \"0\"}}\n"

// TestPodsThatCannotStart are told of while the Job is waited for. With
// --fail-fast they end the step at once, and the Job stays.
func TestPodsThatCannotStart(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		job, quota, reason string
		says               []string
	}{
		"an image that is missing": {job("migrate", "app:missing", mark("ran")), "", "ErrImagePull", []string{"container migrate of pod migrate-", "app:missing"}},
		"a Secret that is missing": {changedContainer(mark("ran"), missingKey), "", "CreateContainerConfigError", []string{"container migrate of pod migrate-", `secret "nowhere" not found`}},
		"no node that fits":        {changedPod("nodeSelector: {disk: golden}"), "", "Unschedulable", []string{"pod migrate-", "0/1 nodes are available"}},
		"an account that is missing": {
			changedPod("serviceAccountName: nobody"), "", "FailedCreate", []string{`serviceaccount "nobody" not found`},
		},
		"a quota": {job("migrate", "app:1", mark("ran")), noPods, "FailedCreate", []string{"exceeded quota: no-pods"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, release("true"))
			s.write(files{"pre/job.yaml": tt.job})
			if tt.quota != "" {
				s.create(tt.quota)
				s.becomes("ResourceQuota/no-pods", "is in force", inForce)
			}
			start := time.Now()
			a := s.apply(1, "--fail-fast", "--timeout=1h")
			if took := time.Since(start); took > patience {
				t.Errorf("it took %s", took)
			}
			notices := a.all(report.Notice, "Job/migrate")
			if len(notices) != 1 {
				t.Fatalf("want one notice, got %s", a.result)
			}
			equal(t, "reason", a.events[notices[0]].Reason, tt.reason)
			wantText(t, a.events[notices[0]].Message, append(tt.says, tt.reason)...)
			wantText(t, a.event(report.StepFailed, "pre").Message, append(tt.says, tt.reason, "--fail-fast")...)
			a.at(report.StepSkipped, "application")
			s.live("Job/migrate")
			equal(t, "marks", len(s.marks()), 0)
		})
	}
}

// TestTroubleThatPasses is told, and then the Job runs.
func TestTroubleThatPasses(t *testing.T) {
	t.Parallel()
	s := one(t, changedContainer(mark("ran"), missingKey))
	p := s.startApply()
	p.says(`"reason":"CreateContainerConfigError"`)
	s.create("apiVersion: v1\nkind: Secret\nmetadata: {name: nowhere}\nstringData: {password: hunter2}\n")
	a := p.applied(0)
	a.order("object-applied Job/migrate", "notice Job/migrate", "job-complete Job/migrate", "step-done app")
	wantNoText(t, a.stdout+a.stderr, "hunter2")
	equal(t, "marks", s.marks(), []string{"ran"})
}

// TestTimeoutSaysWhatItWaitedFor names what keeps the Job from getting on.
func TestTimeoutSaysWhatItWaitedFor(t *testing.T) {
	t.Parallel()
	s := one(t, job("migrate", "app:missing", "true"))
	a := s.apply(6, "--timeout=3s")
	wantText(t, a.event(report.StepFailed, "app").Message, "timed out after 3s", "Job/"+s.ns+"/migrate: running: 1 active", "container migrate of pod migrate-", "app:missing")
}

// TestFailureInWords has what a person needs, in the text for people.
func TestFailureInWords(t *testing.T) {
	t.Parallel()
	s := one(t, changedContainer("echo no such table; exit 3", "terminationMessagePolicy: FallbackToLogsOnError"))
	r := s.run(1, "apply", "-n", "@NS", "-f", "flux.yaml", "--yes", "--logs=none")
	wantText(t, r.stdout, "Job/"+s.ns+"/migrate failed: BackoffLimitExceeded", "container migrate of pod migrate-", "exit code 3 (Error): no such table")
}

// TestFailureTellsTheWarnings that the Job and its pods do not tell.
func TestFailureTellsTheWarnings(t *testing.T) {
	t.Parallel()
	s := one(t, job("migrate", "app:1", mark("ran"), "activeDeadlineSeconds: 3"))
	s.create(noPods)
	s.becomes("ResourceQuota/no-pods", "is in force", inForce)
	a := s.apply(1)
	a.order("notice Job/migrate", "job-failed Job/migrate")
	wantText(t, a.event(report.Notice, "Job/migrate").Message, "FailedCreate", "exceeded quota: no-pods")
	wantText(t, a.event(report.JobFailed, "Job/migrate").Message, "DeadlineExceeded")
}

// TestJobThatSomebodySuspends is waited for: it has not run.
func TestJobThatSomebodySuspends(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("begun")+"; "+awaitGo))
	p := s.startApply()
	s.marked("begun")
	s.update("Job/migrate", `[{"op": "add", "path": "/spec/suspend", "value": true}]`)
	p.says("somebody has suspended the Job")
	s.absent("Deployment/application")
	s.letGo()
	s.update("Job/migrate", `[{"op": "add", "path": "/spec/suspend", "value": false}]`)
	a := p.applied(0)
	a.order("job-complete Job/migrate", "step-done pre", "object-applied Deployment/application")
}
