package present

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// EventsJSON returns a function that writes each event as one line of JSON.
func EventsJSON(w io.Writer) func(report.Event) {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return func(e report.Event) { _ = encoder.Encode(e) }
}

// EventsText returns a function that writes each event of a run of the command
// as one line of text.
func EventsText(w io.Writer, style Style, command string) func(report.Event) {
	return func(e report.Event) {
		if line := eventText(e, style, command); line != "" {
			_, _ = fmt.Fprintln(w, line)
		}
	}
}

func eventText(e report.Event, style Style, command string) string {
	where := ""
	if e.Kustomization != nil {
		where = e.Kustomization.String() + ": "
	}
	what := ""
	if e.Object != nil {
		what = e.Object.String()
	}
	took := time.Duration(e.Seconds * float64(time.Second)).Round(100 * time.Millisecond)
	dry := ""
	if e.DryRun {
		dry = " (server dry run)" // kubectl's words
	}
	say := func(color, format string, args ...any) string {
		return style.paint(bold, clean(where)) + style.paint(color, clean(fmt.Sprintf(format, args...)))
	}
	switch e.Type {
	case report.RunStarted:
		return ""
	case report.StepStarted:
		return say("", "started")
	case report.ObjectApplied:
		return say(colorOf(e.Action), "%s %s%s", what, past(e.Action), dry)
	case report.ObjectDeleted:
		return say(red, "%s deleted%s", what, dry)
	case report.JobStarted:
		return say("", "%s started", what)
	case report.JobLog:
		return say(grey, "%s | %s", what, e.Message)
	case report.JobComplete:
		return say(green, "%s complete after %s", what, took)
	case report.JobFailed:
		return say(red, "%s failed: %s", what, e.Message)
	case report.StepDone:
		return say(green, "done after %s", took)
	case report.StepFailed:
		return say(red, "failed after %s: %s", took, e.Message)
	case report.StepSkipped:
		return say(yellow, "skipped: %s", e.Message)
	case report.Notice:
		if what != "" {
			what += ": "
		}
		return say("", "%s%s", what, e.Message)
	case report.RunDone:
		return say(bold, "%s%s %s after %s", command, dry, outcome(e.Message), took)
	}
	return ""
}

func outcome(o string) string {
	switch report.Outcome(o) {
	case report.TimedOut:
		return "timed out"
	case report.Interrupted:
		return "was interrupted"
	case report.Done, report.Failed, report.Skipped:
		return o
	}
	return o
}

func past(a plan.Action) string {
	switch a {
	case plan.Create, plan.Recreate:
		return string(a) + "d"
	case plan.Update:
		return "updated"
	case plan.Delete, plan.Unchanged, plan.Skip, plan.Blocked, plan.Unknown:
		return string(a)
	}
	return string(a)
}
