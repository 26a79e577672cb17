package e2e

import (
	"testing"

	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// TestInterruptWhileAJobRuns says what is in flight and begins nothing new.
func TestInterruptWhileAJobRuns(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")+"; "+awaitGo))
	p := s.startApply()
	s.marked("ran")
	p.says(`"type":"job-started"`)
	p.interrupt()
	a := p.applied(130)
	wantText(t, a.event(report.StepFailed, "pre").Message, "interrupted", "in flight", "Job/"+s.ns+"/migrate")
	wantText(t, a.event(report.StepSkipped, "application").Message, "interrupted")
	a.never(report.StepStarted, "application")
	equal(t, "outcome", a.event(report.RunDone, "").Message, string(report.Interrupted))
	s.absent("Deployment/application")
	equal(t, "inventory", s.inventory("pre"), []string{s.ns + "_migrate_batch_Job"})
	if condition("Failed")(s.live("Job/migrate")) {
		t.Error("the Job was not left alone")
	}
	s.letGo()
	s.becomes("Job/migrate", "is complete", condition("Complete"))
	equal(t, "marks", s.marks(), []string{"ran"})
}

// TestInterruptInWords has the same in the text for people.
func TestInterruptInWords(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")+"; "+awaitGo))
	p := s.start(nil, "apply", "-n", "@NS", "-f", "flux.yaml", "--yes")
	p.says("Job/" + s.ns + "/migrate started")
	p.interrupt()
	r := p.wait(130)
	wantText(t, r.stdout, "in flight, and going on in the cluster: Job/"+s.ns+"/migrate", s.ns+"/application: skipped", "apply was interrupted")
	s.letGo()
}
