package planner

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/diff"
	"github.com/fluxjob/kubectl-fluxjob/pkg/graph"
	"github.com/fluxjob/kubectl-fluxjob/pkg/manifest"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/render"
	"github.com/fluxjob/kubectl-fluxjob/pkg/source"
)

// world is every Kustomization that there is: those that were read, and those
// that they render, which take the place of their like.
type world struct {
	known map[object.Key]*manifest.Kustomization
	// parents tells by which Kustomization another one is rendered.
	parents map[object.Key]object.Key
}

// rendering is what came of one Kustomization.
type rendering struct {
	k      *manifest.Kustomization
	source plan.Source
	// tree is nil if there is a problem with it.
	tree *source.View
	render.Rendered
	problem *plan.Problem
	// used is the data that the tree had for spec.postBuild.substituteFrom; nil
	// is data that could not be decrypted.
	used map[object.Ref]map[string]string
}

// maxGenerations bounds how often Kustomizations are rendered again because
// others, which were rendered since, change them.
const maxGenerations = 32

// settle renders every Kustomization, and those that they render, until nothing
// changes any more: a Kustomization is planned from what its parent renders and
// not from its file, and a variable is taken from what the tree holds.
func (p *Planner) settle(ctx context.Context, req Request) (*world, map[object.Key]*rendering, error) {
	read := map[object.Key]*manifest.Kustomization{}
	for _, k := range req.Kustomizations {
		read[k.Key()] = k
	}
	w := &world{known: read, parents: map[object.Key]object.Key{}}
	done := map[object.Key]*rendering{}
	trees := newSources(req.Sources, p.Client)
	for range maxGenerations {
		members := w.members(req.Names)
		held := variables(members, done)
		trees.learn(req.SourceObjects, members, done)
		again, err := p.renderAll(ctx, req.Concurrency, w, trees, held, done)
		if err != nil {
			return nil, nil, err
		}
		if again == 0 {
			return w, done, nil
		}
		if req.Recurse {
			w = w.grow(read, done)
		}
	}
	return nil, nil, fmt.Errorf("the Kustomizations render or substitute each other in a circle: gave up after %d rounds", maxGenerations)
}

// renderAll renders, side by side, what was not rendered yet as it is now, and
// returns how many those were.
func (p *Planner) renderAll(ctx context.Context, concurrency int, w *world, trees *sources, held map[object.Ref]map[string]string, done map[object.Key]*rendering) (int, error) {
	maps.DeleteFunc(done, func(key object.Key, _ *rendering) bool { return w.known[key] == nil })
	var fresh []*rendering
	for _, key := range w.keys() {
		k := w.known[key]
		used := usedBy(k, held)
		tree, problem := trees.view(ctx, sourceOf(k))
		if old := done[key]; old == nil || old.k != k || old.tree != tree || !reflect.DeepEqual(old.used, used) {
			done[key] = &rendering{k: k, tree: tree, problem: problem, used: used}
			fresh = append(fresh, done[key])
		}
	}
	var group errgroup.Group
	group.SetLimit(concurrency)
	for _, r := range fresh {
		group.Go(func() error {
			p.renderOne(ctx, r)
			return ctx.Err()
		})
	}
	return len(fresh), group.Wait()
}

func (p *Planner) renderOne(ctx context.Context, r *rendering) {
	ref := sourceOf(r.k)
	r.source = plan.Source{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
	if r.problem != nil {
		return
	}
	r.source.LocalDir, r.source.Revision = r.tree.Tree.Dir, r.tree.Tree.Revision
	renderer := &render.Renderer{Vars: treeFirst{r.used, p.Client}}
	rendered, err := renderer.Render(ctx, r.k, r.tree)
	if rendered != nil {
		r.Rendered = *rendered
	}
	if failed, is := errors.AsType[*render.Error](err); is {
		message := diff.NewMask(r.Secrets).Text(failed.Error() + hint(failed, ref))
		r.problem = &plan.Problem{Reason: failed.Reason, Message: message}
	}
}

// treeFirst reads variables from what the tree holds, and else from the cluster.
type treeFirst struct {
	held    map[object.Ref]map[string]string
	cluster render.Vars
}

// Data implements render.Vars.
func (t treeFirst) Data(ctx context.Context, kind string, key object.Key) (map[string]string, error) {
	if data, found := t.held[varsRef(kind, key)]; found && data == nil {
		return nil, fmt.Errorf("%s/%s is part of this plan: %w", kind, key, render.ErrEncrypted)
	} else if found {
		return maps.Clone(data), nil
	}
	return t.cluster.Data(ctx, kind, key)
}

func varsRef(kind string, key object.Key) object.Ref {
	return object.Ref{Version: "v1", Kind: kind, Namespace: key.Namespace, Name: key.Name}
}

// variables returns the data of the ConfigMaps and Secrets that the members
// render: what Flux would find in the cluster after it has applied them. That of
// one which could not be decrypted is nil.
func variables(members []object.Key, done map[object.Key]*rendering) map[object.Ref]map[string]string {
	held := map[object.Ref]map[string]string{}
	for _, key := range members {
		r := done[key]
		if r == nil {
			continue
		}
		for _, o := range r.Objects {
			ref := object.RefOf(o)
			if _, twice := held[ref]; ref.Group != "" || ref.Kind != "ConfigMap" && ref.Kind != "Secret" || twice {
				continue
			}
			if r.Encrypted[o] != "" {
				held[ref] = nil
			} else if data, readable := dataOf(o, ref.IsSecret()); readable {
				held[ref] = data
			}
		}
	}
	return held
}

func dataOf(o *unstructured.Unstructured, encoded bool) (data map[string]string, readable bool) {
	data, _, err := unstructured.NestedStringMap(o.Object, "data")
	if data == nil {
		data = map[string]string{}
	}
	for name := range data {
		if !encoded {
			break
		}
		plain, decodeErr := base64.StdEncoding.DecodeString(data[name])
		data[name], err = string(plain), errors.Join(err, decodeErr)
	}
	return data, err == nil
}

// usedBy picks from what the tree holds what the Kustomization substitutes.
func usedBy(k *manifest.Kustomization, held map[object.Ref]map[string]string) map[object.Ref]map[string]string {
	used := map[object.Ref]map[string]string{}
	if k.Spec.PostBuild == nil {
		return used
	}
	for _, from := range k.Spec.PostBuild.SubstituteFrom {
		ref := varsRef(from.Kind, object.Key{Namespace: k.Namespace, Name: from.Name})
		if data, found := held[ref]; found {
			used[ref] = data
		}
	}
	return used
}

// grow returns the world with what its Kustomizations render. Of two that
// render the same Kustomization the first is its parent; none becomes its own
// ancestor, as the root of a Flux repository renders itself.
func (w *world) grow(read map[object.Key]*manifest.Kustomization, done map[object.Key]*rendering) *world {
	next := &world{known: maps.Clone(read), parents: map[object.Key]object.Key{}}
	for _, key := range w.keys() {
		for _, o := range done[key].Objects {
			if !object.RefOf(o).IsKustomization() || done[key].Encrypted[o] != "" {
				continue
			}
			if _, skipped := diff.Skipped(o, nil); skipped {
				continue
			}
			child := childKey(o)
			if _, claimed := next.parents[child]; claimed || child == key || next.descends(key, child) {
				continue
			}
			k, err := manifest.Decode(o.DeepCopy())
			if err != nil {
				done[key].problem = &plan.Problem{Reason: plan.BuildFailed, Message: fmt.Sprintf("it renders Kustomization %s: %s", child, err)}
				continue
			}
			k.Namespace, k.Origin = child.Namespace, "rendered by "+key.String()
			// What is the same is not rendered again.
			if old := w.known[child]; old != nil && equality.Semantic.DeepEqual(old.Spec, k.Spec) {
				k = old
			}
			next.parents[child], next.known[child] = key, k
		}
	}
	return next
}

// childKey is where a rendered Kustomization is put.
func childKey(o *unstructured.Unstructured) object.Key {
	return object.Key{Namespace: cmp.Or(o.GetNamespace(), metav1.NamespaceDefault), Name: o.GetName()}
}

// descends says whether the Kustomization is rendered by the other, directly or
// not.
func (w *world) descends(key, ancestor object.Key) bool {
	for {
		parent, has := w.parents[key]
		if !has {
			return false
		}
		if parent == ancestor {
			return true
		}
		key = parent
	}
}

func (w *world) keys() []object.Key {
	return slices.SortedFunc(maps.Keys(w.known), object.Key.Compare)
}

// children are those that the Kustomization renders.
func (w *world) children(of object.Key) []object.Key {
	var found []object.Key
	for _, key := range w.keys() {
		if parent, has := w.parents[key]; has && parent == of {
			found = append(found, key)
		}
	}
	return found
}

// selected are the Kustomizations that the names select, all if there is none.
// missing are the names that select nothing.
func (w *world) selected(names []string) (keys []object.Key, missing []string) {
	if len(names) == 0 {
		return w.keys(), nil
	}
	for _, name := range names {
		found := false
		for _, key := range w.keys() {
			if name == key.Name || name == key.String() {
				keys, found = append(keys, key), true
			}
		}
		if !found {
			missing = append(missing, name)
		}
	}
	return keys, missing
}

// members are the selected Kustomizations with all that they depend on, and
// what these render.
func (w *world) members(names []string) []object.Key {
	keys, _ := w.selected(names)
	seen := map[object.Key]bool{}
	for ; len(keys) > 0; keys = keys[1:] {
		key := keys[0]
		if seen[key] || w.known[key] == nil {
			continue
		}
		seen[key] = true
		keys = append(append(keys, dependencies(w.known[key])...), w.children(key)...)
	}
	return slices.SortedFunc(maps.Keys(seen), object.Key.Compare)
}

// after returns for every Kustomization those that come right before it: what
// it depends on, what such a one waits for among those that it renders itself,
// and its parent.
func (w *world) after() map[object.Key][]object.Key {
	after := map[object.Key][]object.Key{}
	for _, key := range w.keys() {
		if parent, has := w.parents[key]; has {
			after[key] = append(after[key], parent)
		}
		for _, d := range dependencies(w.known[key]) {
			after[key] = append(after[key], d)
			if !w.descends(key, d) {
				after[key] = append(after[key], w.waitedFor(d)...)
			}
		}
		slices.SortFunc(after[key], object.Key.Compare)
		after[key] = slices.Compact(after[key])
	}
	return after
}

// waitedFor are the Kustomizations that one renders and waits for: it is done
// when they are.
func (w *world) waitedFor(key object.Key) []object.Key {
	k := w.known[key]
	if k == nil {
		return nil
	}
	var found []object.Key
	for _, child := range w.children(key) {
		if k.Spec.Wait || slices.ContainsFunc(waitOf(k).HealthChecks, func(ref object.Ref) bool { return ref.IsKustomization() && ref.Key() == child }) {
			found = append(append(found, child), w.waitedFor(child)...)
		}
	}
	return found
}

// arrange returns the members as steps, in the order of their waves.
func (w *world) arrange(names []string, done map[object.Key]*rendering) ([]*step, *graph.Graph[object.Key], error) {
	if _, missing := w.selected(names); len(missing) > 0 {
		var errs []error
		for _, name := range missing {
			errs = append(errs, fmt.Errorf("no Kustomization %q among those read: %s", name, list(w.keys())))
		}
		return nil, nil, errors.Join(errs...)
	}
	after := w.after()
	order := graph.New(w.members(names), after, object.Key.Compare)
	waves, err := order.Levels()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: none of these Kustomizations could ever be reconciled", err)
	}
	var steps []*step
	for wave, members := range waves {
		for _, key := range members {
			s := w.step(key, wave)
			s.plan.After = order.Direct(key)
			s.take(done[key])
			steps = append(steps, s)
		}
	}
	return steps, order, nil
}
