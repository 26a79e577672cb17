package diff

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/ssa/jsondiff"
	"github.com/go-openapi/jsonpointer"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
)

// Ignore holds the compiled rules of spec.ignore. Without rules it is nil.
type Ignore jsondiff.CompiledIgnoreRules

// CompileIgnore compiles the rules of spec.ignore. It answers the controller's
// error if a target cannot be read.
func CompileIgnore(rules []kustomizev1.IgnoreRule) (Ignore, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	plain := make([]jsondiff.IgnoreRule, len(rules))
	for i, rule := range rules {
		plain[i].Paths = rule.Paths
		if t := rule.Target; t != nil {
			plain[i].Selector = &jsondiff.Selector{
				Group: t.Group, Version: t.Version, Kind: t.Kind, Name: t.Name, Namespace: t.Namespace,
				AnnotationSelector: t.AnnotationSelector, LabelSelector: t.LabelSelector,
			}
		}
	}
	compiled, err := jsondiff.CompileIgnoreRules(plain)
	return Ignore(compiled), err
}

// paths returns the JSON pointers that the rules ignore in the object. The
// controller lets the targets choose by the result of the dry-run.
func (g Ignore) paths(dryRun *unstructured.Unstructured) []string {
	var rules [][]string
	for target, paths := range g {
		if target.MatchUnstructured(dryRun) {
			rules = append(rules, paths)
		}
	}
	// Within a rule the order counts: to take out an element of a list moves
	// those behind it.
	slices.SortFunc(rules, slices.Compare)
	return slices.Concat(rules...)
}

// without returns u without what the paths point at.
func without(u *unstructured.Unstructured, paths []string) (*unstructured.Unstructured, error) {
	if len(paths) == 0 {
		return u, nil
	}
	c := u.DeepCopy()
	err := jsondiff.ApplyPatchToUnstructured(c, jsondiff.GenerateRemovePatch(paths...))
	if runtime.IsMissingKind(errors.Unwrap(err)) {
		err = errors.New("an object without its kind cannot be read") // the error quotes the object
	}
	return c, err
}

// Payload returns what the controller writes to bring the live object to its
// desired state and leave alone what spec.ignore ignores at the paths. Where
// dryRun, the result of applying desired as a whole, would change an ignored
// field, the payload leaves the field out if another field manager has applied
// it too, and otherwise holds its live value. live is the object after the
// ownership of other tools was taken over.
//
// It is an error, as it is for the controller, if the live value belongs to a
// field that desired does not have.
func Payload(desired, live, dryRun *unstructured.Unstructured, paths []string) (*unstructured.Unstructured, error) {
	var leftOut []string
	var kept []jsondiff.ReplaceOp
	for _, path := range paths {
		value, changes := changesAt(live, dryRun, path)
		switch {
		case !changes:
		case appliedByAnother(live, path):
			leftOut = append(leftOut, path)
		default:
			kept = append(kept, jsondiff.ReplaceOp{Path: path, Value: value})
		}
	}
	payload, err := without(desired, leftOut)
	if err != nil || len(kept) == 0 {
		return payload, err
	}
	payload = payload.DeepCopy()
	return payload, jsondiff.ApplyPatchToUnstructured(payload, jsondiff.GenerateReplacePatch(kept...))
}

// changesAt returns the live value at the path, nil if there is none, and
// whether dryRun has another. A path that is no JSON pointer counts as changed.
func changesAt(live, dryRun *unstructured.Unstructured, path string) (value any, changes bool) {
	pointer, err := jsonpointer.New(path)
	if err != nil {
		return nil, true
	}
	value, _, notLive := pointer.Get(live.Object)
	after, _, notAfter := pointer.Get(dryRun.Object)
	return value, (notLive == nil) != (notAfter == nil) || !apiequality.Semantic.DeepEqual(value, after)
}

// appliedByAnother says whether a field manager other than the controller's has
// applied what the path points at.
func appliedByAnother(live *unstructured.Unstructured, path string) bool {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for _, entry := range live.GetManagedFields() {
		if entry.Manager == cluster.FieldManager || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		var fields map[string]any
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err == nil && owns(fields, live.Object, segments) {
			return true
		}
	}
	return false
}

// owns says whether the set of fields, in the FieldsV1 format, has something at
// the segments of a JSON pointer into value.
func owns(fields map[string]any, value any, segments []string) bool {
	if len(segments) == 0 {
		return true
	}
	segment := strings.NewReplacer("~1", "/", "~0", "~").Replace(segments[0])
	index, err := strconv.Atoi(segment)
	if err != nil {
		child, _ := value.(map[string]any)
		below, owned := fields["f:"+segment].(map[string]any)
		return owned && owns(below, child[segment], segments[1:])
	}
	list, _ := value.([]any)
	if index < 0 || index >= len(list) {
		return false
	}
	item, _ := list[index].(map[string]any)
	for key, below := range fields {
		if below, isMap := below.(map[string]any); isMap && names(key, item) {
			return owns(below, item, segments[1:])
		}
	}
	return false
}

// names says whether the FieldsV1 key of a list element names the item. Keys
// that hold a number name none: the controller does not recognise them either.
func names(key string, item map[string]any) bool {
	text, isKey := strings.CutPrefix(key, "k:")
	var values map[string]any
	if !isKey || json.Unmarshal([]byte(text), &values) != nil {
		return false
	}
	for field, value := range values {
		if !apiequality.Semantic.DeepEqual(item[field], value) {
			return false
		}
	}
	return true
}
