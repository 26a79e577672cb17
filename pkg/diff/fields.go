package diff

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// Fields returns the differences between two states of one object, in the
// order of their paths. Elements of lists that have a key are compared by it.
// Values that may show a secret are masked.
func Fields(before, after *unstructured.Unstructured, mask Mask) []plan.Field {
	w := &walker{mask: mask, secret: object.RefOf(after).IsSecret()}
	w.walk("", before.Object, after.Object)
	slices.SortFunc(w.fields, func(a, b plan.Field) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Old, b.Old), strings.Compare(a.New, b.New))
	})
	return w.fields
}

type walker struct {
	mask   Mask
	secret bool
	fields []plan.Field
}

// absent stands for a value that is not there, which null is.
type absent struct{}

func (w *walker) walk(path string, before, after any) {
	switch b := before.(type) {
	case map[string]any:
		if a, both := after.(map[string]any); both {
			w.walkMap(path, b, a)
			return
		}
	case []any:
		if a, both := after.([]any); both {
			w.walkList(path, b, a)
			return
		}
	}
	if !equal(before, after) {
		w.add(path, before, after)
	}
}

func (w *walker) walkMap(path string, before, after map[string]any) {
	keys := maps.Clone(before)
	maps.Copy(keys, after)
	for key := range keys {
		w.walk(join(path, key), lookup(before, key), lookup(after, key))
	}
}

func (w *walker) walkList(path string, before, after []any) {
	key := listKey(before, after)
	if key == nil {
		if len(before) != len(after) {
			w.add(path, before, after)
			return
		}
		for i := range before {
			w.walk(fmt.Sprintf("%s[%d]", path, i), before[i], after[i])
		}
		return
	}
	old, names := byKey(before, key)
	current, newNames := byKey(after, key)
	found := len(w.fields)
	for name := range old {
		w.walk(path+"["+name+"]", old[name], lookup(current, name))
	}
	for name := range current {
		if _, known := old[name]; !known {
			w.walk(path+"["+name+"]", absent{}, current[name])
		}
	}
	if len(w.fields) == found && !slices.Equal(names, newNames) {
		w.add(path, "order: "+strings.Join(names, ", "), "order: "+strings.Join(newNames, ", "))
	}
}

func (w *walker) add(path string, before, after any) {
	f := plan.Field{Path: path, Old: valueText(before), New: valueText(after)}
	if f.Old == f.New || before == "" || after == "" {
		f.Old, f.New = jsonText(before), jsonText(after)
	}
	if w.secret && (strings.HasPrefix(path, "data") || strings.HasPrefix(path, "stringData") || strings.HasPrefix(path, "metadata.annotations")) || w.hides(before) || w.hides(after) {
		f.Old, f.New = masked(before, after)
	}
	w.fields = append(w.fields, f)
}

// hides says whether v holds a secret value anywhere.
func (w *walker) hides(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			if w.hides(v[key]) {
				return true
			}
		}
		return false
	case []any:
		return slices.ContainsFunc(v, w.hides)
	}
	return w.mask.Hides(valueText(v))
}

// masked returns what is shown in place of two values that must not be.
func masked(before, after any) (oldText, newText string) {
	switch {
	case before == absent{}:
		return "", "(secret)"
	case after == absent{}:
		return "(secret)", ""
	}
	return "(secret)", "(secret, changed)"
}

// listKeys are the fields by which the lists of Kubernetes' built-in types are
// keyed, and by which those of most custom resources can be. The first that
// tell all elements apart are taken: a name says more than a number, but that of
// a mount is its volume's. One port may stand there for two protocols, and one
// topology for two ways to deal with what does not fit.
var listKeys = [][]string{
	{"mountPath"},
	{"devicePath"},
	{"name"},
	{"containerPort"},
	{"containerPort", "protocol"},
	{"port"},
	{"port", "protocol"},
	{"topologyKey"},
	{"topologyKey", "whenUnsatisfiable"},
	{"type"},
	{"key"},
	{"ip"},
	{"uid"},
}

// listKey returns the fields that key the lists, or nil if they have to be
// compared by position.
func listKey(lists ...[]any) []string {
	for _, key := range listKeys {
		if !slices.ContainsFunc(lists, func(l []any) bool { return !keyed(l, key) }) {
			return key
		}
	}
	return nil
}

func keyed(list []any, key []string) bool {
	seen := map[string]bool{}
	for _, item := range list {
		text, has := keyText(item, key)
		if !has || seen[text] {
			return false
		}
		seen[text] = true
	}
	return true
}

// keyText returns what the key fields of a list element say, as "53/UDP".
func keyText(item any, key []string) (text string, has bool) {
	m, _ := item.(map[string]any)
	for i, field := range key {
		if m[field] == nil {
			return "", false
		}
		if i > 0 {
			text += "/"
		}
		text += valueText(m[field])
	}
	return text, len(key) > 0
}

func byKey(list []any, key []string) (items map[string]any, order []string) {
	items = make(map[string]any, len(list))
	for _, item := range list {
		name, _ := keyText(item, key)
		items[name] = item
		order = append(order, name)
	}
	return items, order
}

func lookup(m map[string]any, key string) any {
	if v, found := m[key]; found {
		return v
	}
	return absent{}
}

// equal treats an absent field, null and an empty map or list alike, as the
// API server does when it stores them.
func equal(a, b any) bool {
	if empty(a) && empty(b) {
		return true
	}
	return jsonText(a) == jsonText(b)
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil, absent:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// valueText returns a string as it is and everything else as compact JSON.
func valueText(v any) string {
	if text, is := v.(string); is {
		return text
	}
	return jsonText(v)
}

// jsonText returns v as compact JSON, and nothing for a value that is absent.
func jsonText(v any) string {
	if v == (absent{}) {
		return ""
	}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// join appends a map key to a path; a key that is not a plain word is put in
// brackets.
func join(path, key string) string {
	switch {
	case path == "":
		return key
	case strings.ContainsAny(key, "./[] "):
		return path + "[" + key + "]"
	}
	return path + "." + key
}

// under says whether the field path lies at or below the path that the API
// server named as the cause of an error.
func under(path, cause string) bool {
	path, cause = withoutIndexes(path), withoutIndexes(cause)
	return path == cause || strings.HasPrefix(path, cause+".")
}

// withoutIndexes turns "a[b].c[0]" into "a.c": the server counts list elements
// where Fields names them.
func withoutIndexes(path string) string {
	var b strings.Builder
	depth := 0
	for _, r := range path {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}
