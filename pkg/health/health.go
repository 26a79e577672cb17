// Package health says from an object alone whether what was applied has become
// what it was applied for.
package health

import (
	"fmt"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/runtime/statusreaders"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

// Phase is where an object stands on its way.
type Phase string

// The phases. Done, Failed and Suspended are ends.
const (
	Progressing Phase = "Progressing"
	Done        Phase = "Done"
	Failed      Phase = "Failed"
	Suspended   Phase = "Suspended"
)

// State is a phase with the sentence that explains it.
type State struct {
	Phase   Phase
	Message string
}

// Ended says whether the phase does not change by itself any more.
func (s State) Ended() bool { return s.Phase != Progressing }

// Job reads a Job by its own conditions: only Complete=True is done and only
// Failed=True is failed, whatever else is set. A suspended Job without either
// is Suspended. This is stricter than the controller, for which a suspended
// Job is healthy even after it failed.
func Job(u *unstructured.Unstructured) State {
	for _, c := range conditions(u) {
		if c.status != "True" {
			continue
		}
		switch c.kind {
		case "Complete":
			return State{Done, c.text("complete")}
		case "Failed":
			return State{Failed, c.text("failed")}
		}
	}
	if suspend, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend"); suspend {
		return State{Suspended, "suspended: spec.suspend is true"}
	}
	return State{Progressing, jobProgress(u)}
}

func jobProgress(u *unstructured.Unstructured) string {
	if _, started, _ := unstructured.NestedString(u.Object, "status", "startTime"); !started {
		return "not started"
	}
	var parts []string
	for _, name := range []string{"active", "succeeded", "failed"} {
		if n, found, _ := unstructured.NestedInt64(u.Object, "status", name); found && n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, name))
		}
	}
	if len(parts) == 0 {
		return "running"
	}
	return "running: " + strings.Join(parts, ", ")
}

// Flux reads an object as kustomize-controller does for spec.wait and
// spec.healthChecks: Jobs by fluxcd/pkg/runtime's status reader, everything
// else by kstatus.
func Flux(u *unstructured.Unstructured) State {
	var r status.Result
	if object.RefOf(u).IsJob() {
		r = statusreaders.ComputeJobStatus(u)
	} else {
		computed, err := status.Compute(u)
		if err != nil {
			return State{Progressing, err.Error()}
		}
		r = *computed
	}
	return stateOf(r.Status, r.Message)
}

func stateOf(s status.Status, message string) State {
	switch s {
	case status.CurrentStatus:
		return State{Done, message}
	case status.FailedStatus:
		return State{Failed, message}
	case status.InProgressStatus, status.TerminatingStatus, status.NotFoundStatus, status.UnknownStatus:
		return State{Progressing, message}
	}
	return State{Progressing, message}
}

type condition struct{ kind, status, reason, message string }

func (c condition) text(otherwise string) string {
	switch {
	case c.reason == "" && c.message == "":
		return otherwise
	case c.reason == "":
		return c.message
	case c.message == "":
		return c.reason
	}
	return c.reason + ": " + c.message
}

func conditions(u *unstructured.Unstructured) []condition {
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	found := make([]condition, 0, len(list))
	for _, item := range list {
		m, _ := item.(map[string]any)
		str := func(key string) string { s, _, _ := unstructured.NestedString(m, key); return s }
		found = append(found, condition{str("type"), str("status"), str("reason"), str("message")})
	}
	return found
}
