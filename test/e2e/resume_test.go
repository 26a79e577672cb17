package e2e

import (
	"encoding/json"
	"testing"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// kill does what nobody can defend against.
func (p *process) kill() {
	p.s.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.s.t.Fatal(err)
	}
	_ = p.cmd.Wait()
}

// history returns the runs that the cluster remembers, the latest first.
func (s *space) history() []report.Run {
	s.t.Helper()
	var runs []report.Run
	if err := json.Unmarshal([]byte(s.run(0, "history", "-n", "@NS", "-o", "json").stdout), &runs); err != nil {
		s.t.Fatal(err)
	}
	return runs
}

// TestKilledAfterAJobThatIsGone does not run that Job again: its end was seen.
func TestKilledAfterAJobThatIsGone(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("migrated")))
	s.write(files{"pre/job.yaml": job("migrate", "app:1", mark("migrated"), "ttlSecondsAfterFinished: 0")})
	s.write(files{"application/app.yaml": job("seed", "app:1", mark("seeded")+"; "+awaitGo)})
	p := s.startApply()
	s.marked("seeded")
	s.goneByItself("Job/migrate")
	p.kill()
	equal(t, "outcome of the killed run", s.history()[0].Outcome, "")

	asked := s.plan(0)
	c := asked.want("Job/migrate", plan.Skip, plan.RanBefore)
	wantText(t, c.Reason.Detail, "it has run for an apply that is not finished yet")
	again := s.startApply()
	again.says("still runs from before")
	s.letGo()
	again.applied(0)
	equal(t, "marks", s.marks(), []string{"migrated", "seeded"})
	equal(t, "outcome", s.history()[0].Outcome, report.Done)
	// From here on it is as with Flux.
	asked = s.plan(3)
	asked.want("Job/migrate", plan.Create, plan.RemovedAfterRun)
}

// TestKilledBeforeTheEndOfAJobThatIsGone leaves it to people, who alone can know
// what that Job did.
func TestKilledBeforeTheEndOfAJobThatIsGone(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("migrated")))
	s.write(files{"pre/job.yaml": job("migrate", "app:1", mark("migrated")+"; "+awaitGo, "ttlSecondsAfterFinished: 0")})
	p := s.startApply()
	s.marked("migrated")
	p.says(`"type":"job-started"`)
	p.kill()
	s.letGo()
	s.goneByItself("Job/migrate")

	asked := s.plan(4)
	c := asked.want("Job/migrate", plan.Blocked, plan.RanBefore)
	wantText(t, c.Reason.Detail, "gone before its end was seen", "kubectl fluxjob rerun "+s.ns+"/migrate")
	s.run(4, "apply", "-n", "@NS", "-f", "flux.yaml", "--yes")
	equal(t, "marks", s.marks(), []string{"migrated"})

	s.run(0, "rerun", "migrate", "-n", "@NS", "-f", "flux.yaml", "--yes")
	equal(t, "marks after the rerun", s.marks(), []string{"migrated", "migrated"})
	s.absent("Deployment/application")
	s.goneByItself("Job/migrate")
	asked = s.plan(1)
	asked.want("Job/migrate", plan.Skip, plan.RanBefore)
	s.apply(0)
	s.live("Deployment/application")
	equal(t, "marks in the end", s.marks(), []string{"migrated", "migrated"})
}

// TestHistory tells of every run that did something.
func TestHistory(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")))
	equal(t, "at first", s.run(0, "history", "-n", "@NS").stdout, "no runs\n")
	s.apply(0)
	s.apply(0) // nothing to do, nothing to tell
	s.run(0, "rerun", "@NS/migrate", "-n", "@NS", "-f", "flux.yaml", "--yes")
	runs := s.history()
	if len(runs) != 2 {
		t.Fatalf("want two runs, got %+v", runs)
	}
	for i, command := range []string{"rerun", "apply"} {
		r := runs[i]
		if r.Command != command || r.Outcome != report.Done || r.Who == "" || r.Where == "" || r.Ended == nil || r.Plan == "" {
			t.Errorf("got %+v", r)
		}
		if len(r.Jobs) != 1 || r.Jobs[0].Outcome != report.Done || r.Jobs[0].UID == "" {
			t.Errorf("Jobs: %+v", r.Jobs)
		}
	}
	wantText(t, s.run(0, "history", "-n", "@NS").stdout, "STARTED", "rerun", "migrate (done)", s.ns+"/pre", s.ns+"/application")
}
