package present

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// History writes the runs as a table, the latest first.
func History(w io.Writer, runs []report.Run) error {
	if len(runs) == 0 {
		_, err := fmt.Fprintln(w, "no runs")
		return err
	}
	cells := [][]string{{"STARTED", "TOOK", "COMMAND", "OUTCOME", "KUSTOMIZATIONS", "JOBS", "BY", "PLAN"}}
	for i := range runs {
		r := &runs[i]
		took := "-"
		if r.Ended != nil {
			took = r.Ended.Sub(r.Started).Round(time.Second).String()
		}
		cells = append(cells, []string{
			r.Started.UTC().Format(time.RFC3339), took, r.Command, cmp.Or(string(r.Outcome), "not finished"),
			clean(keyList(r.Kustomizations)), clean(jobsOf(r)), clean(r.Who), short(r.Plan),
		})
	}
	lines, err := layout(cells)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

// jobsOf says how the Jobs of a run ended.
func jobsOf(r *report.Run) string {
	jobs := make([]string, len(r.Jobs))
	for i, j := range r.Jobs {
		jobs[i] = fmt.Sprintf("%s (%s)", j.Object.Name, cmp.Or(string(j.Outcome), "end not seen"))
	}
	return cmp.Or(strings.Join(jobs, ", "), "-")
}

// short is enough of a digest to tell plans apart.
func short(digest string) string {
	const enough = 12
	_, hash, _ := strings.Cut(digest, ":")
	return hash[:min(enough, len(hash))]
}
