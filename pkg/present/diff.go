package present

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	udiff "github.com/aymanbagabas/go-udiff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/pkg/diff"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/planner"
)

// planDiff writes every change as a unified diff of YAML, with the reason and
// the fields that force a recreation above it.
func planDiff(w io.Writer, result *planner.Result, style Style) error {
	var text strings.Builder
	for i, items := range result.Items {
		step := &result.Plan.Steps[i]
		if step.Problem != nil {
			fmt.Fprintf(&text, "# Kustomization %s: %s: %s\n", clean(step.Kustomization.String()), step.Problem.Reason, clean(step.Problem.Message))
		}
		for j := range items {
			if err := itemDiff(&text, &items[j], style); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(&text, "# %s\n", Summary(result.Plan))
	_, err := io.WriteString(w, text.String())
	return err
}

func itemDiff(w *strings.Builder, item *diff.Item, style Style) error {
	c := &item.Change
	if c.Action == plan.Unchanged || c.Action == plan.Skip {
		return nil
	}
	action := string(c.Action)
	if mark := Mark(c); mark != "" {
		action += ", " + mark
	}
	fmt.Fprintf(w, "%s\n", style.paint(bold, fmt.Sprintf("# %s %s: %s", Symbol(c.Action), clean(c.Object.String()), action)))
	for _, text := range []string{c.Reason.Detail, c.Reason.AllowedBy} {
		if text != "" {
			fmt.Fprintf(w, "#   %s\n", clean(text))
		}
	}
	for _, f := range c.Fields {
		if f.ForcesRecreate {
			fmt.Fprintf(w, "#   %s  # forces recreation\n", fieldText(f))
		}
	}
	before, err := yamlText(item.Before)
	if err != nil {
		return err
	}
	after := ""
	if c.Action != plan.Delete {
		if after, err = yamlText(item.After); err != nil {
			return err
		}
	}
	if after == "" && c.Action != plan.Delete {
		return nil
	}
	name := clean(c.Object.String())
	for line := range strings.Lines(udiff.Unified("live/"+name, "planned/"+name, before, after)) {
		fmt.Fprintln(w, style.paint(diffColor(line), strings.TrimRight(line, "\n")))
	}
	return nil
}

func diffColor(line string) string {
	switch {
	case strings.HasPrefix(line, "+"):
		return green
	case strings.HasPrefix(line, "-"):
		return red
	case strings.HasPrefix(line, "@@"):
		return grey
	}
	return ""
}

// yamlText returns the object as YAML; an absent object is empty. Characters
// that a terminal may obey are escaped.
func yamlText(u *unstructured.Unstructured) (string, error) {
	if u == nil {
		return "", nil
	}
	data, err := json.Marshal(u.Object)
	if err != nil {
		return "", err
	}
	// JSON holds some of them as they are, which YAML does not read.
	var escaped strings.Builder
	for _, r := range string(data) {
		if commands(r) {
			fmt.Fprintf(&escaped, "\\u%04x", r)
		} else {
			escaped.WriteRune(r)
		}
	}
	text, err := yaml.JSONToYAML([]byte(escaped.String()))
	return strings.Map(func(r rune) rune {
		if commands(r) && r != '\n' {
			return '?'
		}
		return r
	}, string(text)), err
}
