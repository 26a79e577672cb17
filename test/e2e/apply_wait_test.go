package e2e

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// TestRunningJobIsWaitedFor and does not run again.
func TestRunningJobIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")+"; "+awaitGo))
	first := s.startApply()
	s.marked("ran")
	uid := s.live("Job/migrate").GetUID()
	p := s.plan(1)
	c := p.want("Job/migrate", plan.Unchanged, "")
	equal(t, "job", c.Job, &plan.Job{Last: plan.Running, WaitFor: "complete"})
	p.want("Deployment/application", plan.Create, plan.NotFound)
	first.interrupt()
	first.wait(130)

	second := s.startApply()
	second.says("still runs from before")
	s.letGo()
	a := second.applied(0)
	a.order("job-complete Job/migrate", "step-done pre", "object-applied Deployment/application")
	a.never(report.JobStarted, "Job/migrate")
	wantText(t, a.event(report.Notice, "Job/migrate").Message, "still runs from before")
	equal(t, "UID", s.live("Job/migrate").GetUID(), uid)
	equal(t, "marks", s.marks(), []string{"ran"})
}

// TestJobThatStaysFailed fails the step again, without running.
func TestJobThatStaysFailed(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")+"; echo no such table; exit 3"))
	s.apply(1)
	before := s.versions(s.ns, "Job/migrate")
	p := s.plan(1)
	c := p.want("Job/migrate", plan.Unchanged, "")
	equal(t, "job", c.Job, &plan.Job{Last: plan.Failed})
	wantText(t, s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml").stdout, "unchanged, failed, stays failed")
	a := s.apply(1)
	wantText(t, a.event(report.JobFailed, "Job/migrate").Message, "stays failed", "does not run again")
	a.at(report.StepSkipped, "application")
	equal(t, "version", s.versions(s.ns, "Job/migrate"), before)
	equal(t, "marks", s.marks(), []string{"ran"})
	s.absent("Deployment/application")
}

const failing = `echo first line; echo second line; echo "no such table" >&2; exit 3`

// TestFailedJobShowsWhy covers what a person needs at the point of failure.
func TestFailedJobShowsWhy(t *testing.T) {
	t.Parallel()
	s := one(t, job("migrate", "app:1", failing))
	r := s.run(1, "apply", "-n", "@NS", "-f", "flux.yaml", "--yes")
	wantText(t, r.stdout, "first line", "second line", "no such table", "exit code 3", "Error", "BackoffLimitExceeded", "container migrate of pod migrate-",
		s.ns+"/app: failed after", "apply failed after")
}

func TestLogsNone(t *testing.T) {
	t.Parallel()
	s := one(t, job("migrate", "app:1", failing))
	a := s.apply(1, "--logs=none")
	a.never(report.JobLog, "Job/migrate")
	wantNoText(t, a.stdout, "second line")
	wantText(t, a.event(report.JobFailed, "Job/migrate").Message, "exit code 3", "Error")
}

func TestLogsFailedOfAJobThatSucceeds(t *testing.T) {
	t.Parallel()
	s := one(t, job("migrate", "app:1", "echo all is well"))
	a := s.apply(0, "--logs=failed")
	a.never(report.JobLog, "Job/migrate")
}

func TestLogsAll(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		script string
		code   int
		end    report.Type
	}{
		"of a Job that succeeds": {"echo first line; sleep 0.2; echo second line", 0, report.JobComplete},
		"of a Job that fails":    {"echo first line; sleep 0.2; echo second line; exit 3", 1, report.JobFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := one(t, job("migrate", "app:1", tt.script))
			a := s.apply(tt.code, "--logs=all")
			lines := a.all(report.JobLog, "Job/migrate")
			if len(lines) != 2 {
				t.Fatalf("want each line once, got %s", a.result)
			}
			wantText(t, a.events[lines[0]].Message, "first line")
			wantText(t, a.events[lines[1]].Message, "second line")
			if lines[1] > a.at(tt.end, "Job/migrate") {
				t.Errorf("the log ends after the Job in %s", a.result)
			}
		})
	}
}

// TestSpecWaitOnADeployment starts the dependent only when it is available.
func TestSpecWaitOnADeployment(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":  kustomization("app", "wait: true", "timeout: 2m") + kustomization("web", after("app")),
		"app/a.yaml": slowDeployment,
		"web/b.yaml": configMap("web", "1"),
	})
	p := s.startApply()
	s.hasStarted()
	s.absent("ConfigMap/web")
	s.letGo()
	a := p.applied(0)
	a.order("object-applied Deployment/slow", "step-done app", "object-applied ConfigMap/web")
	if !condition("Available")(s.live("Deployment/slow")) {
		t.Error("the Deployment is not available")
	}
}

// slowDeployment becomes ready when the test says so.
const slowDeployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: slow}
spec:
  selector: {matchLabels: {app: slow}}
  template:
    metadata: {labels: {app: slow}}
    spec:
      initContainers:
      - {name: init, image: app, command: [sh, -c, "` + tellStarted + "; " + awaitGo + `"]}
      containers:
      - {name: main, image: app}
`

func TestHealthChecks(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml": kustomization("app", "timeout: 2m", `healthChecks: [{apiVersion: apps/v1, kind: Deployment, name: slow, namespace: "@NS"}]`) +
			kustomization("web", after("app")),
		"app/a.yaml": slowDeployment,
		"web/b.yaml": configMap("web", "1"),
	})
	p := s.startApply()
	s.hasStarted()
	s.absent("ConfigMap/web")
	s.letGo()
	a := p.applied(0)
	a.order("object-applied Deployment/slow", "step-done app", "object-applied ConfigMap/web")
}

// TestWithoutSpecWait goes on though the Deployment is not available.
func TestWithoutSpecWait(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{"flux.yaml": kustomization("app") + kustomization("web", after("app")), "app/a.yaml": slowDeployment, "web/b.yaml": configMap("web", "1")})
	a := s.apply(0)
	a.order("step-done app", "object-applied ConfigMap/web")
	if condition("Available")(s.live("Deployment/slow")) {
		t.Error("the Deployment is available")
	}
}

// TestWaitAll waits though spec.wait does not ask for it.
func TestWaitAll(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{"flux.yaml": kustomization("app") + kustomization("web", after("app")), "app/a.yaml": slowDeployment, "web/b.yaml": configMap("web", "1")})
	p := s.startApply("--wait=all", "--timeout=2m")
	s.hasStarted()
	s.absent("ConfigMap/web")
	s.letGo()
	a := p.applied(0)
	a.order("step-done app", "object-applied ConfigMap/web")
}

// TestWaitFlux does not wait for a Job that spec.wait does not speak of.
func TestWaitFlux(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(awaitGo))
	a := s.apply(0, "--wait=flux")
	a.order("object-applied Job/migrate", "step-done pre", "object-applied Deployment/application")
	a.never(report.JobComplete, "Job/migrate")
	if condition("Complete")(s.live("Job/migrate")) {
		t.Error("the Job is complete")
	}
	s.letGo()
}

// TestWaitFluxWithSpecWait does wait.
func TestWaitFluxWithSpecWait(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(tellStarted+"; "+awaitGo))
	s.replace("flux.yaml", "force: true", "wait: true")
	p := s.startApply("--wait=flux")
	s.hasStarted()
	s.absent("Deployment/application")
	s.letGo()
	a := p.applied(0)
	a.order("object-applied Job/migrate", "step-done pre", "object-applied Deployment/application")
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(awaitGo))
	a := s.apply(6, "--timeout=2s")
	message := a.event(report.StepFailed, "pre").Message
	wantText(t, message, "timed out after 2s", "Job/"+s.ns+"/migrate", "running: 1 active")
	wantText(t, a.event(report.StepSkipped, "application").Message, "timed out")
	equal(t, "outcome", a.event(report.RunDone, "").Message, string(report.TimedOut))
	s.absent("Deployment/application")
	s.live("Job/migrate")
	s.letGo()
}

// TestTimeoutWithAnImageThatIsMissing says which Job it is.
func TestTimeoutWithAnImageThatIsMissing(t *testing.T) {
	t.Parallel()
	s := one(t, job("migrate", "app:missing", "true"))
	a := s.apply(6, "--timeout=2s")
	wantText(t, a.event(report.StepFailed, "app").Message, "timed out after 2s", "Job/"+s.ns+"/migrate")
}

func TestTimeoutOfADeployment(t *testing.T) {
	t.Parallel()
	s := one(t, slowDeployment, "wait: true")
	a := s.apply(6, "--timeout=2s")
	wantText(t, a.event(report.StepFailed, "app").Message, "timed out after 2s", "Deployment/"+s.ns+"/slow")
}

// TestTimeoutOfTheKustomization is never less than the controller's 30s.
func TestTimeoutOfTheKustomization(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml": kustomization("a", "timeout: 5m") + kustomization("b", "timeout: 2s") + kustomization("c", "interval: 10m") + kustomization("d", "interval: 10s"),
		"a/a.yaml":  configMap("a", "1"), "b/b.yaml": configMap("b", "1"), "c/c.yaml": configMap("c", "1"), "d/d.yaml": configMap("d", "1"),
	})
	p := s.plan(1)
	for name, seconds := range map[string]float64{"a": 300, "b": 30, "c": 570, "d": 30} {
		equal(t, "timeout of "+name, p.step(name).Wait.TimeoutSeconds, seconds)
	}
}

// TestJobThatIsGoneAtItsEnd is removed by its TTL as soon as it fails.
func TestJobThatIsGoneAtItsEnd(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")+"; exit 3"))
	s.replace("pre/job.yaml", "backoffLimit: 0", "backoffLimit: 0\n  ttlSecondsAfterFinished: 0")
	a := s.apply(1)
	a.order("job-failed Job/migrate", "step-failed pre", "step-skipped application")
	s.absent("Deployment/application")
	equal(t, "marks", s.marks(), []string{"ran"})
}

// TestJobThatIsGoneAfterItsSuccess runs again at the next apply, and says so.
func TestJobThatIsGoneAfterItsSuccess(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")))
	s.replace("pre/job.yaml", "backoffLimit: 0", "backoffLimit: 0\n  ttlSecondsAfterFinished: 0")
	a := s.apply(0)
	a.order("job-complete Job/migrate", "step-done pre", "object-applied Deployment/application")
	s.goneByItself("Job/migrate")
	p := s.plan(3)
	p.want("Job/migrate", plan.Create, plan.RemovedAfterRun)
	equal(t, "marks", s.marks(), []string{"ran"})
}

// TestJobThatSomebodyDeletes while it is waited for fails its step.
func TestJobThatSomebodyDeletes(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")+"; "+awaitGo))
	p := s.startApply()
	s.marked("ran")
	s.delete("Job/migrate")
	a := p.applied(1)
	wantText(t, a.event(report.JobFailed, "Job/migrate").Message, "vanished")
	a.at(report.StepSkipped, "application")
	s.absent("Deployment/application")
}

func TestSuspendedJob(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")))
	s.replace("pre/job.yaml", "backoffLimit: 0", "backoffLimit: 0\n  suspend: true")
	p := s.plan(1)
	c := p.want("Job/migrate", plan.Create, plan.NotFound)
	equal(t, "job", c.Job, &plan.Job{Suspended: true})
	equal(t, "Jobs to run", p.Summary.JobsToRun, 0)
	wantText(t, s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml").stdout, "create, suspended")
	a := s.apply(0)
	wantText(t, a.event(report.Notice, "Job/migrate").Message, "suspended", "has not run")
	a.order("step-done pre", "object-applied Deployment/application")
	equal(t, "marks", len(s.marks()), 0)

	t.Log("it runs when it is resumed")
	s.replace("pre/job.yaml", "suspend: true", "suspend: false")
	p = s.plan(3)
	c = p.want("Job/migrate", plan.Update, plan.Changed)
	equal(t, "job", c.Job, &plan.Job{WillRun: true, Last: plan.Suspended, WaitFor: "complete"})
	a = s.apply(0)
	a.order("object-applied Job/migrate", "job-started Job/migrate", "job-complete Job/migrate", "step-done pre")
	equal(t, "marks", s.marks(), []string{"ran"})
}

// TestJobWithRetries is failed only after its last pod.
func TestJobWithRetries(t *testing.T) {
	t.Parallel()
	s := one(t, job("migrate", "app:1", mark("ran")+"; [ $(wc -l < @OUT/marks) -gt 1 ]", "backoffLimit: 3"))
	a := s.apply(0)
	a.order("job-started Job/migrate", "job-complete Job/migrate", "step-done app")
	equal(t, "marks", s.marks(), []string{"ran", "ran"})
	failed, _, _ := unstructured.NestedInt64(s.live("Job/migrate").Object, "status", "failed")
	equal(t, "failed pods", failed, 1)
}
