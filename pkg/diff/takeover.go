package diff

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

// TakesOver says whether the controller takes over what other tools own of the
// live object before it applies the desired one.
func TakesOver(desired, live *unstructured.Unstructured) bool {
	return !marked(map[string]string{group + "/ssa": "Merge"}, desired, live)
}

// takeOver asks the server what is left of an object when the controller
// applies it after it took over what other tools own: their fields go, unless
// the desired object has them, and defaults come in their place. The dry-run
// apply does not know of that.
func (d *Differ) takeOver(ctx context.Context, o *Observed) error {
	o.Left, o.LeftErr = nil, nil
	if o.TakenOver == nil {
		return nil
	}
	left, err := withoutLost(o.TakenOver, o.DryRun)
	if err != nil {
		return err
	}
	left = comparable(left)
	if len(Fields(comparable(o.DryRun), left, Mask{})) == 0 {
		return nil
	}
	live, err := json.Marshal(comparable(o.Live).Object)
	if err != nil {
		return err
	}
	modified, err := json.Marshal(left.Object)
	if err != nil {
		return err
	}
	patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(live, modified, live)
	if err != nil {
		return err
	}
	o.Left, o.LeftErr = d.Cluster.DryRunMerge(ctx, object.RefOf(o.Live), patch)
	return nil
}

// withoutLost returns dryRun, the result of applying an object, without the
// fields that go as nobody has them any more: the field manager of the
// controller owns them in taken, the live object after the ownership of other
// tools was taken over, and does not in dryRun. With the last field of a
// structure it goes itself (structured-merge-diff, Updater.prune).
func withoutLost(taken, dryRun *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	owned, others, err := owners(taken)
	if err != nil {
		return nil, err
	}
	desired, _, err := owners(dryRun)
	if err != nil {
		return nil, err
	}
	kept := desired.Union(others)
	left := dryRun.DeepCopy()
	owned.Difference(kept).Iterate(func(path fieldpath.Path) {
		for i := range path {
			if (path[i].FieldName != nil || i == len(path)-1) && !holds(kept, path[:i+1]) {
				cut(left.Object, path[:i+1])
				return
			}
		}
	})
	return left, nil
}

// holds says whether the path, or anything below it, is in the set.
func holds(set *fieldpath.Set, path fieldpath.Path) bool {
	below := set
	for _, element := range path {
		below = below.WithPrefix(element)
	}
	return set.Has(path) || !below.Empty()
}

// owners returns the fields that the controller has applied, and those of all
// other field managers.
func owners(u *unstructured.Unstructured) (controller, others *fieldpath.Set, err error) {
	controller, others = fieldpath.NewSet(), fieldpath.NewSet()
	for _, entry := range u.GetManagedFields() {
		if entry.FieldsV1 == nil {
			continue
		}
		fields := fieldpath.NewSet()
		if err := fields.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			return nil, nil, fmt.Errorf("read the fields of manager %s: %w", entry.Manager, err)
		}
		if entry.Manager == cluster.FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "" {
			controller = controller.Union(fields)
		} else {
			others = others.Union(fields)
		}
	}
	return controller, others, nil
}

// cut returns what becomes of v without the field at the path, absent if that is
// v itself. It is changed in place where it can be.
func cut(v any, path fieldpath.Path) any {
	if len(path) == 0 {
		return absent{}
	}
	switch v := v.(type) {
	case map[string]any:
		if path[0].FieldName == nil {
			return v
		}
		name := *path[0].FieldName
		if v[name] = cut(lookup(v, name), path[1:]); v[name] == any(absent{}) {
			delete(v, name)
		}
		return v
	case []any:
		i := slices.IndexFunc(v, func(item any) bool { return isItem(path[0], item) })
		if i < 0 {
			return v
		}
		if v[i] = cut(v[i], path[1:]); v[i] == any(absent{}) {
			return slices.Delete(v, i, i+1)
		}
		return v
	}
	return v
}

// isItem says whether the path element names the item of a list, by its keys or
// by its value.
func isItem(element fieldpath.PathElement, item any) bool {
	if element.Value != nil {
		return equal((*element.Value).Unstructured(), item)
	}
	m, isMap := item.(map[string]any)
	if element.Key == nil || !isMap {
		return false
	}
	for _, key := range *element.Key {
		if !equal(key.Value.Unstructured(), lookup(m, key.Name)) {
			return false
		}
	}
	return true
}
