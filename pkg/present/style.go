package present

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

const (
	reset  = "\x1b[0m"
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	purple = "\x1b[35m"
	grey   = "\x1b[90m"
)

func (s Style) paint(code, text string) string {
	if !s.Color || text == "" || code == "" {
		return text
	}
	return code + text + reset
}

// colorOf gives each action the colour of what it does: green adds, yellow
// changes, red deletes, purple deletes and adds.
func colorOf(a plan.Action) string {
	switch a {
	case plan.Create:
		return green
	case plan.Update:
		return yellow
	case plan.Recreate:
		return purple
	case plan.Delete, plan.Blocked, plan.Unknown:
		return red
	case plan.Unchanged, plan.Skip:
		return grey
	}
	return ""
}

// clean makes text from a manifest, a log or a server safe for a terminal and
// for one line: control characters are shown, not obeyed.
func clean(text string) string {
	text = strings.NewReplacer("\n", "\\n", "\r", "\\r", "\t", " ").Replace(text)
	return printers.EscapeTerminal(strings.Map(func(r rune) rune {
		if commands(r) && r != 0x1b {
			return '?'
		}
		return r
	}, text))
}

// commands says whether a terminal may obey r instead of showing it: a control
// character, or one that turns the direction of the text.
func commands(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}

// cut shortens text to width columns; a width of 0 or less cuts nothing.
func cut(text string, width int) string {
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	runes := []rune(text)
	return string(runes[:max(width-1, 0)]) + "…"
}
