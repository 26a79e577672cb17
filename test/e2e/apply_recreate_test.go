package e2e

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// stubborn is a script that takes a while to end after it was told to.
const stubborn = `trap 'sleep 1; echo old-ended >> @OUT/marks; exit 0' TERM; echo old-started >> @OUT/marks; while :; do sleep 0.1; done`

// stubbornJob is a space in which an old Job still runs that is slow to end, and
// a new one is to take its place.
func stubbornJob(t *testing.T) *space {
	t.Helper()
	s := newSpace(t, release("true"))
	s.write(files{"pre/job.yaml": job("migrate", "app:1", stubborn)})
	s.apply(0, "pre", "--wait=flux")
	s.marked("old-started")
	s.write(files{"pre/job.yaml": job("migrate", "app:2", mark("new-started"))})
	return s
}

// TestRecreationWaitsForTheOldPod never has two pods of one Job at work.
func TestRecreationWaitsForTheOldPod(t *testing.T) {
	t.Parallel()
	s := stubbornJob(t)
	uid := s.live("Job/migrate").GetUID()
	a := s.apply(0)
	a.order("object-deleted Job/migrate", "object-applied Job/migrate", "job-complete Job/migrate", "object-applied Deployment/application")
	equal(t, "UID of the deleted one", a.event(report.ObjectDeleted, "Job/migrate").UID, string(uid))
	equal(t, "UID of the new one", a.event(report.ObjectApplied, "Job/migrate").UID, string(s.live("Job/migrate").GetUID()))
	equal(t, "marks", s.marks(), []string{"old-started", "old-ended", "new-started"})
}

// TestInterruptOfARecreation finishes what was begun: the Job exists again.
func TestInterruptOfARecreation(t *testing.T) {
	t.Parallel()
	s := stubbornJob(t)
	old := s.live("Job/migrate").GetUID()
	p := s.startApply()
	s.becomes("Job/migrate", "is being deleted", func(u *unstructured.Unstructured) bool { return u.GetDeletionTimestamp() != nil })
	p.interrupt()
	a := p.applied(130)
	now := s.live("Job/migrate")
	if now.GetUID() == old || now.GetDeletionTimestamp() != nil || image(now) != "app:2" {
		t.Errorf("want the new Job, got %v", now.Object)
	}
	a.order("object-deleted Job/migrate", "object-applied Job/migrate", "step-failed pre", "step-skipped application")
	equal(t, "outcome", a.event(report.RunDone, "").Message, string(report.Interrupted))
	s.absent("Deployment/application")
	s.becomes("Job/migrate", "is complete", condition("Complete"))
	equal(t, "marks", s.marks(), []string{"old-started", "old-ended", "new-started"})
	equal(t, "inventory", s.inventory("pre"), []string{s.ns + "_migrate_batch_Job"})
}

// TestJobThatChangedSinceThePlan is not deleted: somebody else has replaced it
// while an earlier step ran.
func TestJobThatWasReplacedSinceThePlan(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":      kustomization("first", "force: true") + kustomization("second", after("first"), "force: true"),
		"first/job.yaml": job("first", "app:1", "true"),
		"second/a.yaml":  job("migrate", "app:1", mark("ran")),
	})
	s.apply(0)
	s.write(files{
		"first/job.yaml": job("first", "app:2", tellStarted+"; "+awaitGo),
		"second/a.yaml":  job("migrate", "app:2", mark("ran")),
	})
	p := s.startApply()
	s.hasStarted()
	s.delete("Job/migrate")
	s.create(job("migrate", "app:3", "true"))
	uid := s.live("Job/migrate").GetUID()
	s.letGo()
	a := p.applied(1)
	wantText(t, a.event(report.StepFailed, "second").Message, "Job/"+s.ns+"/migrate", "plan again")
	equal(t, "UID", s.live("Job/migrate").GetUID(), uid)
	equal(t, "marks", s.marks(), []string{"ran"})
}
