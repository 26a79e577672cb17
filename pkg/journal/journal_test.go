package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/fluxjob/kubectl-fluxjob/pkg/execute"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// memory is a store that takes a second for each record.
type memory struct {
	mu    sync.Mutex
	runs  map[string][]report.Run
	saves int
	fail  error
}

func (m *memory) History(_ context.Context, namespace string) ([]report.Run, error) {
	return m.runs[namespace], nil
}

func (m *memory) SaveRun(_ context.Context, namespace string, run report.Run, before []report.Run) error {
	<-time.After(time.Second)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saves++
	if m.fail == nil {
		m.runs[namespace] = append([]report.Run{run}, before...)
	}
	return m.fail
}

var (
	pre = object.Key{Namespace: "one", Name: "pre"}
	app = object.Key{Namespace: "two", Name: "app"}
)

func job(name string) object.Ref {
	return object.Ref{Group: "batch", Version: "v1", Kind: "Job", Namespace: "shop", Name: name}
}

func planned(a plan.Action) *plan.Plan {
	return &plan.Plan{Digest: "sha256:p", Steps: []plan.Step{
		{Kustomization: pre, Changes: []plan.Change{{Action: a}}}, {Kustomization: app, Changes: []plan.Change{{Action: plan.Unchanged}}},
	}}
}

func TestJournalOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{runs: map[string][]report.Run{}}
		start := time.Now()
		j, err := Open(t.Context(), m, report.Run{ID: "r1", Command: report.Apply, Who: "me"}, planned(plan.Create))
		must(t, err)
		must(t, j.Intend(t.Context(), execute.JobRun{Step: pre, Job: job("migrate"), Desired: "sha256:1", Before: "old"}))
		want := report.Run{
			ID: "r1", Command: report.Apply, Who: "me", Started: start, Plan: "sha256:p", Kustomizations: []object.Key{pre},
			Jobs: []report.JobRun{{Object: job("migrate"), Desired: "sha256:1", Began: start.Add(time.Second), Before: "old"}},
		}
		same(t, "before the Job is created", m.runs["one"][0], want)
		must(t, j.Started(t.Context(), execute.JobRun{Step: pre, Job: job("migrate"), Desired: "sha256:1", UID: "u1"}))
		want.Jobs[0].UID = "u1"
		same(t, "when it has been created", m.runs["one"][0], want)
		must(t, j.Ended(t.Context(), execute.JobRun{Step: pre, Job: job("migrate"), Desired: "sha256:1", UID: "u1"}, execute.JobComplete))
		want.Jobs[0].Outcome = report.Done
		must(t, j.Close(t.Context(), report.Failed))
		want.Ended, want.Outcome = new(start.Add(4*time.Second)), report.Failed
		same(t, "in the end", m.runs["one"][0], want)
		same(t, "where nothing is written", len(m.runs["two"]), 0)
	})
}

func TestJournalOfARunThatWritesNothing(t *testing.T) {
	tests := []struct {
		name   string
		before report.Outcome
		want   int
	}{{"after a good end", report.Done, 0}, {"after one that was killed", "", 2}, {"after one that failed", report.Failed, 2}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &memory{runs: map[string][]report.Run{"one": {{ID: "r0", Outcome: tt.before}}}}
				j, err := Open(t.Context(), m, report.Run{ID: "r1"}, planned(plan.Unchanged))
				must(t, err)
				must(t, j.Close(t.Context(), report.Done))
				same(t, "records", m.saves, tt.want)
			})
		})
	}
}

// TestJournalServesManyAtOnce stores what came meanwhile together, and each
// caller returns only when its own note is stored.
func TestJournalServesManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{runs: map[string][]report.Run{}}
		j, err := Open(t.Context(), m, report.Run{ID: "r1"}, planned(plan.Create))
		must(t, err)
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				name := fmt.Sprint("job-", i)
				if err := j.Intend(context.Background(), execute.JobRun{Step: pre, Job: job(name), Desired: "sha256:1"}); err != nil {
					t.Error(err)
				}
				m.mu.Lock()
				defer m.mu.Unlock()
				for _, r := range m.runs["one"][0].Jobs {
					if r.Object == job(name) {
						return
					}
				}
				t.Errorf("%s is not stored", name)
			})
		}
		all.Wait()
		same(t, "records", m.saves <= 3, true)
	})
}

func TestJournalThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{runs: map[string][]report.Run{}}
		j, err := Open(t.Context(), m, report.Run{ID: "r1"}, planned(plan.Create))
		must(t, err)
		m.fail = errors.New("the server is full")
		same(t, "error", j.Intend(t.Context(), execute.JobRun{Step: pre, Job: job("a"), Desired: "sha256:1"}), m.fail)
		_, err = Open(t.Context(), m, report.Run{ID: "r2"}, planned(plan.Create))
		same(t, "error", err, m.fail)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if d := gocmp.Diff(want, got, gocmp.Comparer(func(a, b error) bool { return errors.Is(a, b) })); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
