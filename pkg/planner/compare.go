package planner

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/diff"
	"github.com/fluxjob/kubectl-fluxjob/pkg/graph"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/render"
)

// requestedJobs finds the Jobs that Replace names, by inventory ID.
func requestedJobs(names []string, steps []*step) (map[string]bool, error) {
	found := map[string]bool{}
	for _, name := range names {
		matches := map[string]bool{}
		for _, s := range steps {
			for _, o := range s.objects {
				ref := object.RefOf(o)
				if ref.IsJob() && (name == ref.Name || name == ref.Key().String()) {
					matches[ref.ID()] = true
					found[ref.ID()] = true
				}
			}
		}
		switch {
		case len(matches) == 0:
			return nil, fmt.Errorf("--replace %s: none of the Kustomizations renders such a Job", name)
		case len(matches) > 1:
			return nil, fmt.Errorf("--replace %s: there are %d such Jobs, write NAMESPACE/NAME", name, len(matches))
		}
	}
	return found, nil
}

// compare fills in the items of every step: the rendered objects first, in the
// controller's order, then what is to be pruned.
func (p *Planner) compare(ctx context.Context, steps []*step, order *graph.Graph[object.Key], requested map[string]bool, concurrency int) error {
	var group errgroup.Group
	group.SetLimit(concurrency)
	flux := p.servesKustomizations()
	planned := map[string]bool{}
	for _, s := range steps {
		planned[s.ref().ID()] = true
		group.Go(func() error {
			inventory, err := p.Client.Inventory(ctx, s.key)
			if err != nil {
				s.fail(plan.InventoryFailed, err.Error())
			}
			s.keep(inventory, flux)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	differ := &diff.Differ{Cluster: p.Client}
	bring := brings(steps, order)
	owners := renderedBy(steps)
	for _, s := range steps {
		known := map[string]bool{}
		for _, e := range s.plan.Inventory.Entries {
			known[e.ID] = true
		}
		s.items = make([]diff.Item, len(s.objects))
		for i, o := range s.objects {
			id := object.RefOf(o).ID()
			policy := diff.Policy{Inventory: known[id], Brings: bring[s.key], Encrypted: s.encrypted[o], Ignore: s.ignore, Mask: s.mask, PlannedAsStep: planned[id] && !flux}
			if s.k.Spec.Force {
				policy.Forced = "spec.force of " + s.key.String()
			}
			if requested[id] {
				policy.Requested = "--replace"
			}
			group.Go(func() error {
				s.items[i] = differ.Object(ctx, o, render.Stage(o), policy)
				return ctx.Err()
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	gone := recreatedDefinitions(steps)
	for _, s := range steps {
		s.loseWith(gone, bring[s.key].Kinds)
		group.Go(func() error {
			s.sortStages()
			s.items = append(s.items, stale(ctx, differ, s, owners)...)
			return ctx.Err()
		})
	}
	return group.Wait()
}

// recreatedDefinitions lists the definitions that the plan recreates, by
// inventory ID.
func recreatedDefinitions(steps []*step) map[string]bool {
	found := map[string]bool{}
	for _, s := range steps {
		for i := range s.items {
			if c := &s.items[i].Change; c.Object.IsCRD() && c.Action == plan.Recreate {
				found[c.Object.ID()] = true
			}
		}
	}
	return found
}

// loseWith says of the custom resources that exist what becomes of them when they
// are gone with their definition as the step comes to them. kinds are the
// definitions that come before.
func (s *step) loseWith(gone map[string]bool, kinds map[string]*unstructured.Unstructured) {
	for i := range s.items {
		item := &s.items[i]
		c := &item.Change
		definition := kinds[c.Object.GVK().GroupKind().String()]
		if definition == nil || !gone[object.RefOf(definition).ID()] || c.Action != plan.Unchanged && c.Action != plan.Update && c.Action != plan.Recreate {
			continue
		}
		c.Fields, c.Ignored = []plan.Field{}, nil
		if _, namespaced, _ := defined(definition); namespaced != (c.Object.Namespace != "") {
			c.Action, c.Reason = plan.Blocked, plan.Reason{Code: plan.Invalid, Detail: "its definition is recreated with another scope: it would go with the old one, and the new one does not take it"}
			continue
		}
		c.Action, c.Reason = plan.Create, plan.Reason{Code: plan.AfterCRD, Detail: "its definition is recreated, and it goes with the old one"}
		c.Live, item.Before = nil, nil
	}
}

// sortStages brings the items into the order of the stages; within a stage
// they keep the controller's order.
func (s *step) sortStages() {
	slices.SortStableFunc(s.items, func(a, b diff.Item) int { return a.Change.Stage - b.Change.Stage })
}

// renderedBy tells which Kustomizations of the plan render an object.
func renderedBy(steps []*step) map[string][]object.Key {
	owners := map[string][]object.Key{}
	for _, s := range steps {
		for _, o := range s.objects {
			id := object.RefOf(o).ID()
			owners[id] = append(owners[id], s.key)
		}
	}
	return owners
}

// stale returns what the step no longer renders, in the order in which the
// controller prunes. A step that could not be rendered prunes nothing.
func stale(ctx context.Context, differ *diff.Differ, s *step, owners map[string][]object.Key) []diff.Item {
	if !s.plan.Inventory.Prune || s.plan.Problem != nil {
		return nil
	}
	var items []diff.Item
	for _, ref := range pruneOrder(s.plan.Inventory.Entries) {
		var takenOver *object.Key
		rendering := owners[ref.ID()]
		if slices.Contains(rendering, s.key) {
			continue
		}
		if len(rendering) > 0 {
			takenOver = &rendering[0]
		}
		if item, exists := differ.Stale(ctx, ref, s.key, takenOver); exists {
			if detail := s.mayBe(ref); detail != "" && item.Change.Action == plan.Delete {
				item.Change.Action, item.Change.Reason = plan.Unknown, plan.Reason{Code: plan.Encrypted, Detail: detail}
			}
			item.Hide(s.mask)
			items = append(items, item)
		}
	}
	return items
}

// mayBe says why it is not known whether the step still renders the live object,
// or "" if that is known.
func (s *step) mayBe(live object.Ref) string {
	for _, o := range s.objects {
		if detail := s.encrypted[o]; detail != "" && render.MayBe(live, object.RefOf(o)) {
			return "its name may still be rendered: " + detail
		}
	}
	return ""
}

// pruneOrder returns the entries in the reverse of the order in which they are
// applied. Entries that are not in Flux's format are passed over, as the
// controller does.
func pruneOrder(entries []plan.Entry) []object.Ref {
	var refs []object.Ref
	for _, e := range entries {
		if ref, err := object.ParseID(e.ID, e.Version); err == nil {
			refs = append(refs, ref)
		}
	}
	render.SortRefs(refs)
	slices.Reverse(refs)
	return refs
}
