package planner

import (
	"strings"
	"testing"
	"time"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

func TestTried(t *testing.T) {
	began := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		try    report.JobRun
		action plan.Action
		runs   bool
		say    string
	}{
		{"it was never created", report.JobRun{}, plan.Create, true, ""},
		{"it completed", report.JobRun{UID: "u1", Outcome: report.Done}, plan.Skip, false, "it has run for an apply that is not finished yet (began 2026-11-25T09:00:00Z, completed)"},
		{"it failed", report.JobRun{UID: "u1", Outcome: report.Failed}, plan.Blocked, false, "failed), and was removed since; to run it again: kubectl fluxjob rerun shop/migrate"},
		{"its end was not seen", report.JobRun{UID: "u1"}, plan.Blocked, false, "gone before its end was seen"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.try.Began = began
			c := &plan.Change{
				Object: object.Ref{Group: "batch", Version: "v1", Kind: "Job", Namespace: "shop", Name: "migrate"},
				Action: plan.Create, Reason: plan.Reason{Code: plan.RemovedAfterRun}, Job: &plan.Job{WillRun: true, WaitFor: "complete"},
			}
			tried(c, &tt.try)
			if c.Action != tt.action || c.Job.WillRun != tt.runs || !strings.Contains(c.Reason.Detail, tt.say) {
				t.Errorf("got %s, runs %v: %s", c.Action, c.Job.WillRun, c.Reason.Detail)
			}
			if (c.Reason.Code == plan.RanBefore) != (tt.action != plan.Create) {
				t.Errorf("got reason %s", c.Reason.Code)
			}
		})
	}
}
