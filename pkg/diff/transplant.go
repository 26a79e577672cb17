package diff

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Transplant gives the field at a path of plan.Field the value that it has in
// from, which may be none.
func Transplant(into, from *unstructured.Unstructured, path string) {
	graft(into.Object, from.DeepCopy().Object, pathSteps(path))
}

// pathSteps cuts "a.b[c].d" into "a", "b", "[c]" and "d".
func pathSteps(path string) []string {
	var steps []string
	for path != "" {
		end := strings.IndexAny(path, ".[")
		switch {
		case path[0] == '[':
			end = strings.IndexByte(path, ']') + 1
		case end < 0:
			end = len(path)
		}
		if end == 0 {
			break
		}
		steps = append(steps, path[:end])
		path = strings.TrimPrefix(path[end:], ".")
	}
	return steps
}

// graft returns what becomes of into; it is changed in place where it can be.
func graft(into, from any, steps []string) any {
	if len(steps) == 0 {
		return from
	}
	name := strings.Trim(steps[0], "[]")
	list, isList := into.([]any)
	donor, donorIsList := from.([]any)
	if isList || donorIsList {
		return graftItem(list, donor, name, steps[1:])
	}
	m, isMap := into.(map[string]any)
	if !isMap {
		m = map[string]any{}
	}
	source, _ := from.(map[string]any)
	if m[name] = graft(lookup(m, name), lookup(source, name), steps[1:]); m[name] == any(absent{}) {
		delete(m, name)
	}
	return m
}

func graftItem(into, from []any, name string, steps []string) any {
	key := naming(name, into, from)
	i, j := position(into, key, name), position(from, key, name)
	switch {
	case j < 0 && i >= 0:
		return slices.Delete(into, i, i+1)
	case j < 0:
		return into
	case i < 0:
		return append(into, from[j])
	}
	into[i] = graft(into[i], from[j], steps)
	return into
}

// naming returns the fields by which Fields has called an item name, or nil if
// that is its place. What was grafted before may have changed which fields tell
// the items apart.
func naming(name string, lists ...[]any) []string {
	for _, key := range listKeys {
		all, named := true, false
		for _, l := range lists {
			all = all && keyed(l, key)
			named = named || position(l, key, name) >= 0
		}
		if all && named {
			return key
		}
	}
	return nil
}

// position returns where the item stands that Fields calls name, or -1.
func position(list []any, key []string, name string) int {
	if key == nil {
		if i, err := strconv.Atoi(name); err == nil && i < len(list) {
			return i
		}
		return -1
	}
	return slices.IndexFunc(list, func(item any) bool {
		text, _ := keyText(item, key)
		return text == name
	})
}
