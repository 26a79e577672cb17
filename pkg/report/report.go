// Package report says what happened: events while a plan runs, and the outcome
// after it.
package report

import (
	"time"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// Type is the kind of an event.
type Type string

// The types of events. Each step has exactly one of StepDone, StepFailed and
// StepSkipped; a run has one RunStarted, first, and one RunDone, last.
const (
	RunStarted    Type = "run-started"
	StepStarted   Type = "step-started"
	ObjectApplied Type = "object-applied"
	ObjectDeleted Type = "object-deleted"
	JobStarted    Type = "job-started"
	JobLog        Type = "job-log"
	JobComplete   Type = "job-complete"
	JobFailed     Type = "job-failed"
	StepDone      Type = "step-done"
	StepFailed    Type = "step-failed"
	StepSkipped   Type = "step-skipped"
	// Notice is something in flight that a person wants to know of, such as
	// what is waited for or what an interrupt found under way.
	Notice  Type = "notice"
	RunDone Type = "run-done"
)

// Event is one thing that happened. Fields that do not apply are empty.
type Event struct {
	Type          Type        `json:"type"`
	Time          time.Time   `json:"time"`
	Kustomization *object.Key `json:"kustomization,omitempty"`
	Object        *object.Ref `json:"object,omitempty"`
	Action        plan.Action `json:"action,omitempty"`
	UID           string      `json:"uid,omitempty"`
	Message       string      `json:"message,omitempty"`
	// Reason is Kubernetes' word for what Message tells of, where it has one.
	Reason string `json:"reason,omitempty"`
	// DryRun says that it did not happen: the server was asked whether it could.
	DryRun bool `json:"dryRun,omitempty"`
	// Seconds is how long what ended took.
	Seconds float64 `json:"seconds,omitempty"`
}

// Outcome is how a step or a run ended.
type Outcome string

// The outcomes, from the best to the worst.
const (
	Done        Outcome = "done"
	Skipped     Outcome = "skipped"
	Failed      Outcome = "failed"
	TimedOut    Outcome = "timed-out"
	Interrupted Outcome = "interrupted"
)

// Step is how one step ended.
type Step struct {
	Kustomization object.Key `json:"kustomization"`
	Outcome       Outcome    `json:"outcome"`
	Message       string     `json:"message,omitempty"`
	Seconds       float64    `json:"seconds"`
}

// Report is how a run ended.
type Report struct {
	Outcome Outcome `json:"outcome"`
	Steps   []Step  `json:"steps"`
	Seconds float64 `json:"seconds"`
}

// Worst returns the worst outcome of the steps. A step that was skipped has a
// failed one before it, or the run was interrupted.
func Worst(steps []Step) Outcome {
	rank := map[Outcome]int{Done: 0, Skipped: 1, Failed: 2, TimedOut: 3, Interrupted: 4}
	worst := Done
	for _, s := range steps {
		if rank[s.Outcome] > rank[worst] {
			worst = s.Outcome
		}
	}
	return worst
}
