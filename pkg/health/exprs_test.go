package health_test

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/fluxjob/kubectl-fluxjob/pkg/health"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

func TestReaderReadsByItsExpressions(t *testing.T) {
	const (
		cronTab  = "apiVersion: example.com/v2\nkind: CronTab\nmetadata: {name: a, generation: 2}\n"
		noMatter = "not current by spec.healthCheckExprs"
	)
	phase := plan.HealthCheckExpr{
		APIVersion: "example.com/v1", Kind: "CronTab",
		InProgress: "status.phase == 'starting'", Failed: "status.phase == 'broken'", Current: "status.phase == 'up'",
	}
	group := plan.HealthCheckExpr{APIVersion: "example.com/v1", Current: "has(spec.open)"}
	failedJobs := plan.HealthCheckExpr{APIVersion: "batch/v1", Kind: "Job", Failed: "true", Current: "true"}
	tests := []struct {
		name   string
		exprs  []plan.HealthCheckExpr
		jobs   bool
		object string
		want   health.State
	}{
		{"current, in another version", []plan.HealthCheckExpr{phase}, false, cronTab + "status: {phase: 'up'}", health.State{Phase: health.Done}},
		{"in progress", []plan.HealthCheckExpr{phase}, false, cronTab + "status: {phase: starting}", health.State{Phase: health.Progressing, Message: noMatter}},
		{"failed", []plan.HealthCheckExpr{phase}, false, cronTab + "status: {phase: broken}", health.State{Phase: health.Failed, Message: "the expression failed of spec.healthCheckExprs is true"}},
		{"nothing of these", []plan.HealthCheckExpr{phase}, false, cronTab + "status: {phase: odd}", health.State{Phase: health.Progressing, Message: noMatter}},
		{"not observed since it changed", []plan.HealthCheckExpr{phase}, false, cronTab + "status: {phase: 'up', observedGeneration: 1}", health.State{Phase: health.Progressing, Message: noMatter}},
		{
			"a field is missing",
			[]plan.HealthCheckExpr{phase},
			false, cronTab,
			health.State{Phase: health.Progressing, Message: "failed to evaluate the CEL expression 'status.phase == 'starting'': no such attribute(s): status.phase"},
		},
		{
			"no boolean",
			[]plan.HealthCheckExpr{{APIVersion: "example.com/v1", Kind: "CronTab", Current: "kind"}},
			false, cronTab,
			health.State{Phase: health.Progressing, Message: "failed to evaluate CEL expression as boolean: 'kind'"},
		},
		{"a whole group", []plan.HealthCheckExpr{group}, false, cronTab + "spec: {open: 1}", health.State{Phase: health.Done}},
		{"a kind goes before its group", []plan.HealthCheckExpr{group, phase}, false, cronTab + "spec: {open: 1}\nstatus: {phase: odd}", health.State{Phase: health.Progressing, Message: noMatter}},
		{
			"another group is read as Flux reads it",
			[]plan.HealthCheckExpr{phase},
			false,
			"apiVersion: example.org/v1\nkind: CronTab\nmetadata: {name: a}",
			health.State{Phase: health.Done, Message: "Resource is current"},
		},
		{"without expressions", nil, true, cronTab, health.State{Phase: health.Done, Message: "Resource is current"}},
		{"Jobs by their conditions", []plan.HealthCheckExpr{failedJobs}, false, job, health.State{Phase: health.Progressing, Message: "Job not started. active: 0/1"}},
		{"Jobs too", []plan.HealthCheckExpr{failedJobs}, true, job, health.State{Phase: health.Failed, Message: "the expression failed of spec.healthCheckExprs is true"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reader, err := health.NewReader(plan.Wait{HealthCheckExprs: tt.exprs, ExprsForJobs: tt.jobs})
			if err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(tt.want, reader.Read(t.Context(), fromYAML(t, tt.object))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestReaderDecidesJobs(t *testing.T) {
	jobs, tabs := []plan.HealthCheckExpr{{APIVersion: "batch/v1", Current: "true"}}, []plan.HealthCheckExpr{{APIVersion: "example.com/v1", Kind: "CronTab", Current: "true"}}
	tests := []struct {
		name string
		wait plan.Wait
		want bool
	}{
		{"no expressions", plan.Wait{ExprsForJobs: true}, false},
		{"expressions for another kind", plan.Wait{HealthCheckExprs: tabs, ExprsForJobs: true}, false},
		{"expressions for their group, that come after", plan.Wait{HealthCheckExprs: jobs}, false},
		{"expressions for their group, that come first", plan.Wait{HealthCheckExprs: jobs, ExprsForJobs: true}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reader, err := health.NewReader(tt.wait)
			if err != nil || reader.DecidesJobs() != tt.want {
				t.Errorf("got %t, %v, want %t", reader.DecidesJobs(), err, tt.want)
			}
		})
	}
}

func TestNewReaderTellsTheControllersError(t *testing.T) {
	expr := func(current string) plan.HealthCheckExpr {
		return plan.HealthCheckExpr{APIVersion: "example.com/v1", Kind: "CronTab", Current: current}
	}
	tests := []struct {
		name  string
		exprs []plan.HealthCheckExpr
		want  string
	}{
		{"none is current", []plan.HealthCheckExpr{expr("")}, "failed to create custom status evaluator for healthchecks[0]: expression Current not specified"},
		{
			"a syntax error",
			[]plan.HealthCheckExpr{expr("a.")},
			"failed to create custom status evaluator for healthchecks[0]: failed to parse the expression Current: failed to parse the CEL expression 'a.': ERROR: <input>:1:3: Syntax error: no viable alternative at input '.'\n | a.\n | ..^",
		},
		{"two for one kind", []plan.HealthCheckExpr{expr("a"), expr("b")}, "duplicate custom health check for GroupKind CronTab.example.com at healthchecks[1]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := health.NewReader(plan.Wait{HealthCheckExprs: tt.exprs}); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}
