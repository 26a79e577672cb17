package report

import (
	"slices"
	"time"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

// Run is one apply or rerun as the cluster remembers it. There is one for each
// namespace that has Kustomizations of the run, with the same ID.
type Run struct {
	ID      string `json:"id"`
	Command string `json:"command"`
	// Who and Where are those of the lock.
	Who     string    `json:"who"`
	Where   string    `json:"where"`
	Started time.Time `json:"started"`
	// Ended and Outcome are missing while it runs, and of one that was killed.
	Ended   *time.Time `json:"ended,omitempty"`
	Outcome Outcome    `json:"outcome,omitempty"`
	// Plan is the digest of the plan.
	Plan           string       `json:"plan"`
	Kustomizations []object.Key `json:"kustomizations"`
	Jobs           []JobRun     `json:"jobs,omitempty"`
}

// JobRun is what a run knows of a Job. It is written down before the Job is
// created, when it has been created, and when its end was seen, so that a run
// that was killed can be gone on with.
type JobRun struct {
	Object object.Ref `json:"object"`
	// Desired is the digest of the rendered Job.
	Desired string `json:"desired"`
	// Began is just before the Job was created, or is when the run first saw it.
	Began time.Time `json:"began"`
	// Before is the UID of the Job that was replaced.
	Before string `json:"before,omitempty"`
	// UID is missing if the run ended before it learned whether there is a Job.
	UID string `json:"uid,omitempty"`
	// Outcome is Done or Failed; it is missing if the end was not seen.
	Outcome Outcome `json:"outcome,omitempty"`
}

// The commands of runs.
const (
	Apply = "apply"
	Rerun = "rerun"
)

// LastTry returns what the runs, the latest first, know of the Job in the form
// that is desired, if an apply of its Kustomization has not come to a good end
// since; nil if they know nothing. It is what an apply that was killed, or that
// failed, left behind: the Job is not to run a second time for that.
func LastTry(runs []Run, kustomization object.Key, job object.Ref, desired string) *JobRun {
	var last *JobRun
	unfinished := false
	for i := range runs {
		run := &runs[i]
		if !slices.Contains(run.Kustomizations, kustomization) {
			continue
		}
		if run.Command == Apply && run.Outcome == Done {
			break
		}
		unfinished = unfinished || run.Command == Apply
		for j := range run.Jobs {
			if try := &run.Jobs[j]; last == nil && try.Object.ID() == job.ID() && try.Desired == desired {
				last = try
			}
		}
	}
	if !unfinished {
		return nil
	}
	return last
}
