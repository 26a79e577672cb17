package diff

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

// Mask knows values that must not be shown.
type Mask struct {
	values []string
}

// minSubstring is the length from which a secret value is looked for inside of
// other text. A shorter one would hide half of every manifest; it is hidden
// only where it is the whole value.
const minSubstring = 4

// NewMask returns a mask for the values, in each of the ways in which they are
// written inside of other text.
func NewMask(values []string) Mask {
	var m Mask
	for _, v := range values {
		m.values = append(m.values, v)
		if encoded, err := json.Marshal(v); err == nil {
			m.values = append(m.values, unquoted(string(encoded)))
		}
		m.values = append(m.values, unquoted(jsonText(v)), unquoted(strconv.Quote(v)))
	}
	// The longest first, so that no part of a value is left over.
	slices.SortFunc(m.values, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	m.values = slices.Compact(m.values)
	return m
}

func unquoted(text string) string { return text[1 : len(text)-1] }

// Hides says whether text shows a secret value.
func (m Mask) Hides(text string) bool {
	return slices.ContainsFunc(m.values, func(v string) bool {
		return text == v || len(v) >= minSubstring && strings.Contains(text, v)
	})
}

// Text returns text with every secret value in it replaced.
func (m Mask) Text(text string) string {
	if slices.Contains(m.values, text) {
		return "(secret)"
	}
	for _, v := range m.values {
		if len(v) >= minSubstring {
			text = strings.ReplaceAll(text, v, "(secret)")
		}
	}
	return text
}

// shown masks two states of one object in place, so that they can be printed.
// Either may be nil.
func (m Mask) shown(before, after *unstructured.Unstructured) {
	hide := func(u *unstructured.Unstructured, text func(path []string, value string) string) {
		if u == nil {
			return
		}
		if object.RefOf(u).IsSecret() {
			for _, field := range [][]string{{"data"}, {"stringData"}, {"metadata", "annotations"}} {
				values, _, _ := unstructured.NestedMap(u.Object, field...)
				for key, value := range values {
					values[key] = text(append(slices.Clone(field), key), valueText(value))
				}
				if values != nil {
					_ = unstructured.SetNestedMap(u.Object, values, field...)
				}
			}
		}
		m.walk(u.Object)
	}
	var old *unstructured.Unstructured
	if before != nil {
		old = before.DeepCopy()
	}
	if before != nil && after != nil {
		m.hideReplaced(before.Object, after.Object)
	}
	hide(before, func([]string, string) string { return "(secret)" })
	hide(after, func(path []string, value string) string {
		if old != nil {
			if was, found, _ := unstructured.NestedFieldNoCopy(old.Object, path...); found && valueText(was) != value {
				return "(secret, changed)"
			}
		}
		return "(secret)"
	})
}

// hideReplaced masks what after's secret values took the place of: the values
// that a Secret had before are in no list. before is changed in place, and
// returned where it is a string.
func (m Mask) hideReplaced(before, after any) any {
	switch b := before.(type) {
	case string:
		if a, both := after.(string); both && m.Hides(a) {
			return hideLines(b, a)
		}
	case int64, float64:
		if m.Hides(valueText(after)) {
			return "(secret)"
		}
	case map[string]any:
		a, _ := after.(map[string]any)
		for key := range b {
			b[key] = m.hideReplaced(b[key], a[key])
		}
	case []any:
		a, _ := after.([]any)
		key := listKey(b, a)
		current, _ := byKey(a, key)
		for i := range b {
			switch item, _ := b[i].(map[string]any); {
			case key != nil:
				name, _ := keyText(item, key)
				m.hideReplaced(item, current[name])
			case i < len(a):
				b[i] = m.hideReplaced(b[i], a[i])
			}
		}
	}
	return before
}

// hideLines masks the lines of before that after does not have.
func hideLines(before, after string) string {
	kept := map[string]bool{}
	for line := range strings.Lines(after) {
		kept[strings.TrimSuffix(line, "\n")] = true
	}
	lines := strings.Split(before, "\n")
	for i, line := range lines {
		if line != "" && !kept[line] {
			lines[i] = "(secret)"
		}
	}
	return strings.Join(lines, "\n")
}

// walk replaces the secret values in all strings and numbers below v.
func (m Mask) walk(v any) any {
	switch v := v.(type) {
	case string:
		return m.Text(v)
	case map[string]any:
		for key := range v {
			v[key] = m.walk(v[key])
		}
	case []any:
		for i := range v {
			v[i] = m.walk(v[i])
		}
	case nil, bool:
	default:
		if m.Hides(valueText(v)) {
			return "(secret)"
		}
	}
	return v
}
