package present

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/planner"
)

// maxFields is how many fields of one object the table names.
const maxFields = 4

// row is what the table says of one change; each of why takes a line.
type row struct {
	symbol, object, action string
	why                    []string
	color                  string
}

// planTable writes the plan as a person reads it at a glance: the
// Kustomizations in order, their changes under them, then the sums.
func planTable(w io.Writer, result *planner.Result, style Style) error {
	p := result.Plan
	t := &tableText{style: style}
	t.line("%s", header(p))
	rows := make([][]row, len(p.Steps))
	for i := range p.Steps {
		rows[i] = stepRows(&p.Steps[i], style)
	}
	widths := measure(rows)
	for i := range p.Steps {
		t.line("")
		t.step(&p.Steps[i])
		if err := t.rows(rows[i], widths); err != nil {
			return err
		}
	}
	t.line("")
	t.sums(p)
	_, err := io.WriteString(w, t.text.String())
	return err
}

type tableText struct {
	text  strings.Builder
	style Style
}

func (t *tableText) line(format string, args ...any) {
	fmt.Fprintf(&t.text, format+"\n", args...)
}

func header(p *plan.Plan) string {
	cluster := p.Cluster.Server
	if p.Cluster.Context != "" {
		cluster = p.Cluster.Context
	}
	text := fmt.Sprintf("Plan for %s (Kubernetes %s)", clean(cluster), clean(p.Cluster.Version))
	if tree := commonTree(p); tree != "" {
		text += "\nSource of every Kustomization: " + clean(tree)
	}
	return text
}

// commonTree describes the tree if all steps have the same, or returns "".
func commonTree(p *plan.Plan) string {
	if len(p.Steps) == 0 {
		return ""
	}
	first := p.Steps[0].Source
	for i := range p.Steps {
		if s := p.Steps[i].Source; s.LocalDir != first.LocalDir {
			return ""
		}
	}
	return tree(first)
}

func tree(s plan.Source) string {
	if s.Revision == "" {
		return s.LocalDir
	}
	return s.LocalDir + " at " + s.Revision
}

func (t *tableText) step(s *plan.Step) {
	text := t.style.paint(bold, "Kustomization "+clean(s.Kustomization.String()))
	if notes := notes(s); len(notes) > 0 {
		text += t.style.paint(grey, " ("+clean(strings.Join(notes, ", "))+")")
	}
	t.line("%s", text)
	if s.Problem != nil {
		t.line("  %s", t.style.paint(red, "! "+s.Problem.Reason+": "+clean(s.Problem.Message)))
	}
}

// notes say where a step comes from and what it comes after.
func notes(s *plan.Step) []string {
	var notes []string
	switch {
	case s.Removed:
		notes = append(notes, "removed from "+s.Parent.String())
	case s.Parent != nil:
		notes = append(notes, "rendered by "+s.Parent.String())
	}
	if len(s.DependsOn) > 0 {
		notes = append(notes, "after "+dependencies(s))
	}
	return notes
}

// dependencies lists what the step waits for, and the expressions that say when
// it is ready.
func dependencies(s *plan.Step) string {
	names := make([]string, len(s.DependsOn))
	for i, key := range s.DependsOn {
		names[i] = key.String()
		for _, e := range s.ReadyExprs {
			if e.Kustomization == key {
				names[i] += " when " + cut(strings.Join(strings.Fields(e.Expr), " "), maxValue)
			}
		}
	}
	return strings.Join(names, ", ")
}

func keyList(keys []object.Key) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.String()
	}
	return strings.Join(names, ", ")
}

// stepRows returns the lines of a step. Unchanged objects are counted in one,
// but for Jobs that need a word.
func stepRows(s *plan.Step, style Style) []row {
	var rows []row
	hidden := 0
	for i := range s.Changes {
		c := &s.Changes[i]
		if c.Action == plan.Unchanged && Mark(c) == "" && !style.ShowUnchanged {
			hidden++
			continue
		}
		rows = append(rows, changeRow(c))
	}
	switch {
	case hidden > 0:
		rows = append(rows, row{symbol: Symbol(plan.Unchanged), object: fmt.Sprintf("%d unchanged", hidden), color: grey})
	case len(rows) == 0 && s.Problem == nil:
		rows = append(rows, row{object: "nothing in it", color: grey})
	}
	return rows
}

func changeRow(c *plan.Change) row {
	action := string(c.Action)
	if mark := Mark(c); mark != "" {
		action += ", " + mark
	}
	return row{symbol: Symbol(c.Action), object: clean(c.Object.String()), action: action, why: reasons(c), color: colorOf(c.Action)}
}

// reasons says why a change has its action, the most important first.
func reasons(c *plan.Change) []string {
	var why []string
	fields := c.Fields
	if c.Action == plan.Recreate || c.Reason.Code == plan.ImmutableNotForced || c.Reason.Code == plan.ImmutableTakenOver {
		fields = forcing(c.Fields)
	}
	switch {
	case c.Action == plan.Blocked && c.Reason.Code == plan.ImmutableNotForced:
		why = append(why, "immutable, and neither spec.force nor the force annotation allows to recreate it")
	case c.Reason.Detail != "" && (len(fields) == 0 || c.Action == plan.Blocked):
		why = append(why, clean(c.Reason.Detail))
	case c.Reason.Code == plan.Pruned:
		why = append(why, "no longer rendered")
	}
	for i, f := range fields {
		if i == maxFields {
			why = append(why, fmt.Sprintf("and %d more fields, see -o diff", len(fields)-maxFields))
			break
		}
		why = append(why, fieldText(f))
	}
	if c.Reason.AllowedBy != "" {
		why = append(why, "allowed by "+clean(c.Reason.AllowedBy))
	}
	return why
}

// forcing returns the fields that force a recreation, or all if none is known
// to.
func forcing(fields []plan.Field) []plan.Field {
	var found []plan.Field
	for _, f := range fields {
		if f.ForcesRecreate {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return fields
	}
	return found
}

// maxValue is how many columns a value takes in the table.
const maxValue = 60

func fieldText(f plan.Field) string {
	before, after := excerpt(f.Old, f.New)
	old, current := cut(clean(before), maxValue), cut(clean(after), maxValue)
	switch {
	case f.Old == "":
		return fmt.Sprintf("%s: + %s", clean(f.Path), current)
	case f.New == "":
		return fmt.Sprintf("%s: - %s", clean(f.Path), old)
	}
	return fmt.Sprintf("%s: %s → %s", clean(f.Path), old, current)
}

// excerpt reduces two texts of several lines to the first lines that differ.
func excerpt(old, current string) (oldLines, newLines string) {
	a, b := strings.SplitAfter(old, "\n"), strings.SplitAfter(current, "\n")
	if len(a) == 1 || len(b) == 1 {
		return old, current
	}
	for len(a) > 1 && len(b) > 1 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 1 && len(b) > 1 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return strings.TrimSuffix(strings.Join(a, ""), "\n"), strings.TrimSuffix(strings.Join(b, ""), "\n")
}

// measure returns the widths of the columns over all steps, so that they stand
// under each other.
func measure(steps [][]row) [3]int {
	var widths [3]int
	for _, rows := range steps {
		for _, r := range rows {
			for i, text := range []string{r.symbol, r.object, r.action} {
				widths[i] = max(widths[i], utf8.RuneCountInString(text))
			}
		}
	}
	return widths
}

const (
	indent = 2 // of a step's table
	gap    = 2 // between its columns
)

// rows writes the lines of one step as a table without lines around it. On a
// terminal that is too narrow for the reasons, they stand under their objects.
func (t *tableText) rows(rows []row, widths [3]int) error {
	beside := indent + widths[0] + widths[1] + widths[2] + 3*gap
	stacked := t.style.Width > 0 && beside+longest(rows) > t.style.Width
	var cells [][]string
	for _, r := range rows {
		first, rest := "", []string(nil)
		if len(r.why) > 0 {
			first, rest = r.why[0], r.why[1:]
		}
		if stacked {
			first, rest = "", nil
		}
		cells = append(cells, []string{
			strings.Repeat(" ", indent) + t.style.paint(r.color, pad(r.symbol, widths[0])),
			t.style.paint(r.color, pad(r.object, widths[1])), pad(r.action, widths[2]), first,
		})
		for _, why := range rest {
			cells = append(cells, []string{strings.Repeat(" ", indent+widths[0]), pad("", widths[1]), pad("", widths[2]), why})
		}
	}
	lines, err := layout(cells)
	if err != nil {
		return err
	}
	for i, line := range lines {
		t.line("%s", line)
		if stacked {
			for _, why := range rows[i].why {
				t.line("%s%s", strings.Repeat(" ", indent+widths[0]+2*gap), cut(shortPath(why), t.style.Width-indent-widths[0]-2*gap))
			}
		}
	}
	return nil
}

func longest(rows []row) int {
	most := 0
	for _, r := range rows {
		for _, why := range r.why {
			most = max(most, utf8.RuneCountInString(why))
		}
	}
	return most
}

// shortPath leaves out the beginning that nearly all fields of a Job share.
func shortPath(why string) string {
	return strings.TrimPrefix(why, "spec.template.spec.")
}

// layout puts cells into columns and returns the lines.
func layout(cells [][]string) ([]string, error) {
	var text strings.Builder
	table := tablewriter.NewTable(&text,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		})),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithPadding(tw.Padding{Left: "", Right: strings.Repeat(" ", gap), Overwrite: true}),
		tablewriter.WithTrimSpace(tw.Off),
	)
	if err := table.Bulk(cells); err != nil {
		return nil, err
	}
	if err := table.Render(); err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(text.String()) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return lines, nil
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0))
}

// sums writes what the whole plan comes to.
func (t *tableText) sums(p *plan.Plan) {
	t.line("%s", t.style.paint(bold, Summary(p)))
	for i := range p.Steps {
		s := &p.Steps[i]
		if !s.Held() {
			continue
		}
		text := "Held: Kustomization " + s.Kustomization.String() + " cannot be applied"
		if len(s.HoldsBack) > 0 {
			text += " and holds back " + keyList(s.HoldsBack)
		}
		t.line("%s", t.style.paint(red, clean(text)+"."))
	}
	if !p.Complete {
		t.line("%s", t.style.paint(red, "This plan is not complete: what is marked could not be planned."))
	}
	if legend := legend(p); legend != "" {
		t.line("%s", t.style.paint(grey, legend))
	}
}

// Summary is the plan in one line.
func Summary(p *plan.Plan) string {
	s := p.Summary
	words := map[plan.Action]string{
		plan.Create: "to create", plan.Update: "to update", plan.Recreate: "to recreate", plan.Delete: "to delete",
		plan.Unchanged: "unchanged", plan.Skip: "skipped", plan.Blocked: "blocked", plan.Unknown: "unknown",
	}
	var parts []string
	for _, a := range plan.Actions() {
		if n := s.Count(a); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, words[a]))
		}
	}
	jobs := "No Job will run."
	switch {
	case s.JobsToRun == 0 && !p.Complete:
		jobs = "Whether a Job will run is not known."
	case s.JobsToRun == 1:
		jobs = "1 Job will run."
	case s.JobsToRun > 1:
		jobs = fmt.Sprintf("%d Jobs will run.", s.JobsToRun)
	}
	switch {
	case len(parts) == 0 && p.Complete:
		return "No changes: nothing is rendered. " + jobs
	case len(parts) == 0:
		return "Plan: nothing could be planned. " + jobs
	case p.Complete && !s.Changes() && s.Blocked == 0:
		return "No changes: " + strings.Join(parts, ", ") + ". " + jobs
	}
	return "Plan: " + strings.Join(parts, ", ") + ". " + jobs
}

// legend explains the symbols that the plan shows.
func legend(p *plan.Plan) string {
	words := map[plan.Action]string{
		plan.Create: "create", plan.Update: "update in place", plan.Recreate: "delete, then create", plan.Delete: "delete",
		plan.Unchanged: "unchanged", plan.Skip: "skipped", plan.Blocked: "blocked: Flux would stop here", plan.Unknown: "unknown",
	}
	var parts []string
	for _, a := range plan.Actions() {
		if p.Summary.Count(a) > 0 {
			parts = append(parts, Symbol(a)+" "+words[a])
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Symbols: " + strings.Join(parts, "   ")
}
