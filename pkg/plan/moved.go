package plan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

// Moved lists what is no longer as a saved plan says, in words: now is the plan
// of the same request as it is made at present. If nothing moved, now does what
// the saved plan does. Of an object that is not written only that it is still the
// same one counts, as its status changes all the time.
func (p *Plan) Moved(now *Plan) []string {
	if p.Cluster.UID != now.Cluster.UID {
		return []string{fmt.Sprintf("the cluster: the plan is for %s (%s), this is %s (%s)", p.Cluster.Server, p.Cluster.UID, now.Cluster.Server, now.Cluster.UID)}
	}
	var moved []string
	steps := map[object.Key]*Step{}
	for i := range now.Steps {
		steps[now.Steps[i].Kustomization] = &now.Steps[i]
	}
	for i := range p.Steps {
		was := &p.Steps[i]
		is := steps[was.Kustomization]
		if is == nil {
			moved = append(moved, fmt.Sprintf("%s: it is no longer part of the plan", was.Kustomization))
			continue
		}
		delete(steps, was.Kustomization)
		for _, what := range was.moved(is) {
			moved = append(moved, fmt.Sprintf("%s: %s", was.Kustomization, what))
		}
	}
	for i := range now.Steps {
		if steps[now.Steps[i].Kustomization] != nil {
			moved = append(moved, fmt.Sprintf("%s: it was no part of the plan", now.Steps[i].Kustomization))
		}
	}
	return moved
}

func (s *Step) moved(now *Step) []string {
	var moved []string
	if was, is := s.Source.Revision, now.Source.Revision; was != is {
		moved = append(moved, fmt.Sprintf("the source was at %s, is at %s", orNone(was), orNone(is)))
	}
	if !reflect.DeepEqual(s.rules(), now.rules()) {
		moved = append(moved, "its spec, or that of one that it depends on, has changed")
	}
	if now.Problem != nil && (s.Problem == nil || *s.Problem != *now.Problem) {
		moved = append(moved, "it cannot be planned any more: "+now.Problem.Message)
	}
	changes := map[string]*Change{}
	for i := range now.Changes {
		changes[now.Changes[i].Object.ID()] = &now.Changes[i]
	}
	for i := range s.Changes {
		was := &s.Changes[i]
		what := was.moved(changes[was.Object.ID()])
		delete(changes, was.Object.ID())
		if len(what) > 0 {
			moved = append(moved, fmt.Sprintf("%s: %s", was.Object, strings.Join(what, ", ")))
		}
	}
	for i := range now.Changes {
		if c := &now.Changes[i]; changes[c.Object.ID()] != nil {
			moved = append(moved, fmt.Sprintf("%s: it was no part of the plan, now it would be: %s", c.Object, c.Action))
		}
	}
	if len(moved) == 0 && s.Source.Digest != now.Source.Digest {
		moved = append(moved, "it is rendered to something else")
	}
	return moved
}

// rules returns what says how a step is run, apart from its objects.
func (s *Step) rules() any {
	return []any{
		append([]object.Key{}, s.DependsOn...), append([]object.Key{}, s.After...), append([]ReadyExpr{}, s.ReadyExprs...), s.Parent, s.Removed, s.Wait,
		s.Inventory.Kept, s.Inventory.Prune, s.Inventory.DeletionPolicy, s.Inventory.Reconciled,
	}
}

func (c *Change) moved(now *Change) []string {
	if now == nil {
		return []string{"it is no longer part of the plan"}
	}
	var moved []string
	switch {
	case c.Live == nil && now.Live != nil:
		moved = append(moved, "it did not exist, now it does")
	case c.Live != nil && now.Live == nil:
		moved = append(moved, "it existed, now it does not")
	case c.Live == nil:
	case c.Live.UID != now.Live.UID:
		moved = append(moved, "it was deleted and created again since")
	case c.Action.Writes() && c.Live.ResourceVersion != now.Live.ResourceVersion:
		moved = append(moved, fmt.Sprintf("it changed in the cluster (resourceVersion %s, now %s)", c.Live.ResourceVersion, now.Live.ResourceVersion))
	}
	if c.Desired != now.Desired {
		moved = append(moved, "the tree renders it otherwise")
	}
	if c.Action != now.Action {
		moved = append(moved, fmt.Sprintf("the plan was: %s, would be now: %s", c.Action, now.Action))
	}
	if !slices.Equal(c.Ignored, now.Ignored) {
		moved = append(moved, "what spec.ignore leaves of it differs")
	}
	return moved
}

func orNone(revision string) string {
	if revision == "" {
		return "no revision"
	}
	return revision
}
