package e2e

import (
	"testing"

	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// TestLocked refuses a second run while the first one is alive, and names it.
func TestLocked(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")+"; "+awaitGo))
	first := s.startApply()
	s.marked("ran")
	second := s.run(5, "apply", "-n", "@NS", "-f", "flux.yaml", "--yes")
	wantText(t, second.stderr, "the Kustomizations of namespace "+s.ns+" are locked by", "process", "since", "for plan sha256:", "--lock-timeout")
	equal(t, "stdout of the second", second.stdout, "")
	wantText(t, s.run(5, "unlock", "-n", "@NS").stderr, "locked by", "alive")
	waits := s.start(nil, "apply", "-n", "@NS", "-f", "flux.yaml", "--yes", "--lock-timeout", "2m")
	s.letGo()
	first.applied(0)
	wantText(t, waits.wait(0).stdout, "No changes: 2 unchanged")
	equal(t, "marks", s.marks(), []string{"ran"})
	wantText(t, s.run(0, "unlock", "-n", "@NS").stdout, "nothing is locked")
}

// TestLockOfADeadRun is taken over when it has expired, and what the dead run
// began is ended.
func TestLockOfADeadRun(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")+"; "+awaitGo))
	dead := s.startApply()
	s.marked("ran")
	if err := dead.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.cmd.Wait()
	again := s.startApply()
	again.says("still runs from before")
	s.letGo()
	again.applied(0)
	equal(t, "marks", s.marks(), []string{"ran"})
}

// TestLockTakenAway stops the run before it writes again.
func TestLockTakenAway(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")+"; "+awaitGo))
	p := s.startApply()
	s.marked("ran")
	wantText(t, s.run(0, "unlock", "-n", "@NS", "--force").stdout, "was released", "held it")
	a := p.applied(5)
	wantText(t, a.stderr, "the lock was lost", "Apply again")
	a.never(report.StepStarted, "application")
	s.absent("Deployment/application")
	s.letGo()
}
