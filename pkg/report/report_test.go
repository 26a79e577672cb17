package report_test

import (
	"encoding/json"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

func TestWorst(t *testing.T) {
	tests := []struct {
		name     string
		outcomes []report.Outcome
		want     report.Outcome
	}{
		{"no step is done", nil, report.Done},
		{"all done", []report.Outcome{report.Done, report.Done}, report.Done},
		{"a failure before what it skipped", []report.Outcome{report.Done, report.Failed, report.Skipped}, report.Failed},
		{"a skip after done", []report.Outcome{report.Done, report.Skipped}, report.Skipped},
		{"a timeout beats a failure", []report.Outcome{report.TimedOut, report.Failed}, report.TimedOut},
		{"an interrupt beats all", []report.Outcome{report.Interrupted, report.TimedOut, report.Failed, report.Skipped, report.Done}, report.Interrupted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var steps []report.Step
			for _, o := range tt.outcomes {
				steps = append(steps, report.Step{Outcome: o})
			}
			if got := report.Worst(steps); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestEventsLeaveOutWhatDoesNotApply(t *testing.T) {
	at := time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		event report.Event
		want  string
	}{
		{"a bare event", report.Event{Type: report.RunStarted, Time: at}, `{"type":"run-started","time":"2026-11-05T12:00:00Z"}`},
		{
			"every field",
			report.Event{
				Type: report.JobFailed, Time: at, Kustomization: &object.Key{Namespace: "flux-system", Name: "pre"},
				Object: &object.Ref{Group: "batch", Version: "v1", Kind: "Job", Namespace: "shop", Name: "migrate"},
				Action: "recreate", UID: "u1", Message: "why", Seconds: 1.5,
			},
			`{"type":"job-failed","time":"2026-11-05T12:00:00Z","kustomization":{"namespace":"flux-system","name":"pre"},` +
				`"object":{"group":"batch","version":"v1","kind":"Job","namespace":"shop","name":"migrate"},` +
				`"action":"recreate","uid":"u1","message":"why","seconds":1.5}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := json.Marshal(tt.event)
			if err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(tt.want, string(got)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestEventTypesAreThoseThatScriptsKnow(t *testing.T) {
	want := []report.Type{
		"run-started", "step-started", "object-applied", "object-deleted", "job-started", "job-log",
		"job-complete", "job-failed", "step-done", "step-failed", "step-skipped", "run-done",
	}
	got := []report.Type{
		report.RunStarted, report.StepStarted, report.ObjectApplied, report.ObjectDeleted, report.JobStarted, report.JobLog,
		report.JobComplete, report.JobFailed, report.StepDone, report.StepFailed, report.StepSkipped, report.RunDone,
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
