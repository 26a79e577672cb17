package report_test

import (
	"testing"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

func TestLastTry(t *testing.T) {
	pre, app := object.Key{Namespace: "flux-system", Name: "pre"}, object.Key{Namespace: "flux-system", Name: "app"}
	job := object.Ref{Group: "batch", Version: "v1", Kind: "Job", Namespace: "shop", Name: "migrate"}
	other := object.Ref{Group: "batch", Version: "v1", Kind: "Job", Namespace: "shop", Name: "other"}
	run := func(command string, outcome report.Outcome, of object.Key, jobs ...report.JobRun) report.Run {
		return report.Run{Command: command, Outcome: outcome, Kustomizations: []object.Key{of}, Jobs: jobs}
	}
	try := func(uid string, outcome report.Outcome) report.JobRun {
		return report.JobRun{Object: job, Desired: "sha256:1", UID: uid, Outcome: outcome}
	}
	tests := []struct {
		name string
		runs []report.Run // the latest first
		want string       // the UID
	}{
		{"no run at all", nil, ""},
		{"a run that was killed", []report.Run{run(report.Apply, "", pre, try("u1", report.Done))}, "u1"},
		{"a run that failed elsewhere", []report.Run{run(report.Apply, report.Failed, pre, try("u1", report.Done))}, "u1"},
		{"a run that came to a good end", []report.Run{run(report.Apply, report.Done, pre, try("u1", report.Done))}, ""},
		{"one that was killed before one with a good end", []report.Run{run(report.Apply, report.Done, pre), run(report.Apply, "", pre, try("u1", ""))}, ""},
		{"one that was killed twice", []report.Run{run(report.Apply, "", pre), run(report.Apply, "", pre, try("u1", report.Done))}, "u1"},
		{"the latest of two tries", []report.Run{run(report.Apply, "", pre, try("u2", "")), run(report.Apply, "", pre, try("u1", ""))}, "u2"},
		{"a rerun after a kill", []report.Run{run(report.Rerun, report.Done, pre, try("u2", report.Done)), run(report.Apply, "", pre, try("u1", ""))}, "u2"},
		{"a rerun after a good end", []report.Run{run(report.Rerun, report.Done, pre, try("u2", report.Done)), run(report.Apply, report.Done, pre, try("u1", ""))}, ""},
		{"a good end of another Kustomization", []report.Run{run(report.Apply, report.Done, app), run(report.Apply, "", pre, try("u1", ""))}, "u1"},
		{"another form of the Job", []report.Run{run(report.Apply, "", pre, report.JobRun{Object: job, Desired: "sha256:2", UID: "u1"})}, ""},
		{"another Job", []report.Run{run(report.Apply, "", pre, report.JobRun{Object: other, Desired: "sha256:1", UID: "u1"})}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if try := report.LastTry(tt.runs, pre, job, "sha256:1"); try != nil {
				got = try.UID
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
