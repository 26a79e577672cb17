package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

// Count returns how many changes have the action.
func (s Summary) Count(a Action) int {
	return *s.counter(a)
}

// Changes says whether anything would be written.
func (s Summary) Changes() bool {
	return s.Create+s.Update+s.Recreate+s.Delete > 0
}

func (s *Summary) counter(a Action) *int {
	switch a {
	case Create:
		return &s.Create
	case Update:
		return &s.Update
	case Recreate:
		return &s.Recreate
	case Delete:
		return &s.Delete
	case Unchanged:
		return &s.Unchanged
	case Skip:
		return &s.Skip
	case Blocked:
		return &s.Blocked
	case Unknown:
		return &s.Unknown
	}
	return new(int)
}

// Finish fills in what follows from the steps: the summary, whether the plan
// is complete and applyable, and the digest. It answers an error if the steps
// break an invariant, which is a defect of the planner.
func (p *Plan) Finish() error {
	p.APIVersion, p.Kind = APIVersion, Kind
	p.Summary, p.Complete = Summary{}, true
	p.fillLists()
	for i := range p.Steps {
		step := &p.Steps[i]
		if step.Problem != nil {
			p.Complete = false
		}
		for j := range step.Changes {
			c := &step.Changes[j]
			*p.Summary.counter(c.Action)++
			if c.Action == Unknown {
				p.Complete = false
			}
			if c.Job != nil && c.Job.WillRun {
				p.Summary.JobsToRun++
			}
		}
	}
	p.Applyable = p.Complete && p.Summary.Blocked == 0
	if err := p.Validate(); err != nil {
		return err
	}
	var steps bytes.Buffer
	encoder := json.NewEncoder(&steps)
	encoder.SetEscapeHTML(false) // as in a file, see Encode
	if err := encoder.Encode(p.Steps); err != nil {
		return fmt.Errorf("digest the plan: %w", err)
	}
	p.Digest = digest(bytes.TrimSpace(steps.Bytes()))
	return nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// fillLists makes lists of what was left out, so that the JSON form has "[]"
// and never "null" where a list is promised.
func (p *Plan) fillLists() {
	p.Steps, p.Warnings = list(p.Steps), list(p.Warnings)
	for i := range p.Steps {
		step := &p.Steps[i]
		step.DependsOn, step.Changes = list(step.DependsOn), list(step.Changes)
		for j := range step.Changes {
			step.Changes[j].Fields = list(step.Changes[j].Fields)
		}
	}
}

func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// Validate answers the first broken invariant of p, or nil.
func (p *Plan) Validate() error {
	waves := make(map[object.Key]int, len(p.Steps))
	for i := range p.Steps {
		s := &p.Steps[i]
		if _, twice := waves[s.Kustomization]; twice {
			return fmt.Errorf("plan: two steps for Kustomization %s", s.Kustomization)
		}
		for _, d := range s.After {
			if wave, earlier := waves[d]; !earlier || wave >= s.Wave {
				return fmt.Errorf("plan: step %s stands before %s, after which it comes", s.Kustomization, d)
			}
		}
		for _, d := range s.DependsOn {
			if s.Problem == nil && !slices.Contains(s.After, d) {
				return fmt.Errorf("plan: step %s does not come after %s, on which it depends", s.Kustomization, d)
			}
		}
		waves[s.Kustomization] = s.Wave
		for j := range s.Changes {
			if err := s.Changes[j].validate(); err != nil {
				return fmt.Errorf("plan: step %s: %s: %w", s.Kustomization, s.Changes[j].Object, err)
			}
		}
	}
	return nil
}

func (c *Change) validate() error {
	needsLive := c.Action == Update || c.Action == Recreate || c.Action == Delete || c.Action == Unchanged
	switch {
	case needsLive && (c.Live == nil || c.Live.UID == ""):
		return fmt.Errorf("%s of an object that does not exist", c.Action)
	case c.Action == Create && c.Live != nil:
		return fmt.Errorf("create of an object that exists")
	case c.Action != Delete && c.Reason.Code != Pruned && c.Desired == "" && c.Action.Writes():
		return fmt.Errorf("%s without a desired object", c.Action)
	case c.Reason.Code == "" && c.Action != Unchanged:
		return fmt.Errorf("%s without a reason", c.Action)
	case c.Object.IsJob() != (c.Job != nil):
		return fmt.Errorf("a Job, and only a Job, says whether it runs")
	}
	return nil
}

// Held reports whether nothing of the step may be applied: it has a problem or
// something in it is blocked or unknown.
func (s *Step) Held() bool {
	if s.Problem != nil {
		return true
	}
	for i := range s.Changes {
		if a := s.Changes[i].Action; a == Blocked || a == Unknown {
			return true
		}
	}
	return false
}

// Reconciled lists the Kustomizations that a running Flux reconciles and that
// the plan would write to.
func (p *Plan) Reconciled() []object.Key {
	var keys []object.Key
	for i := range p.Steps {
		s := &p.Steps[i]
		for j := range s.Changes {
			if s.Inventory.Reconciled && s.Changes[j].Action.Writes() {
				keys = append(keys, s.Kustomization)
				break
			}
		}
	}
	return keys
}

// Creates says whether the plan creates the Kustomization in the cluster.
func (p *Plan) Creates(kustomization object.Key) bool {
	for i := range p.Steps {
		for j := range p.Steps[i].Changes {
			c := &p.Steps[i].Changes[j]
			if c.Action == Create && c.Object.IsKustomization() && c.Object.Key() == kustomization {
				return true
			}
		}
	}
	return false
}

// Namespaces returns those of the plan's Kustomizations.
func (p *Plan) Namespaces() []string {
	var all []string
	for i := range p.Steps {
		all = append(all, p.Steps[i].Kustomization.Namespace)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Only reduces the plan to the Jobs that it recreates or creates on request, by
// their IDs: no other object is written, nothing is waited for but these Jobs,
// and the inventories stay as they are.
func (p *Plan) Only(jobs map[string]bool) error {
	var kept []Step
	for i := range p.Steps {
		s := p.Steps[i]
		s.Changes = slices.DeleteFunc(slices.Clone(s.Changes), func(c Change) bool { return !jobs[c.Object.ID()] })
		if len(s.Changes) == 0 {
			continue
		}
		s.DependsOn, s.ReadyExprs, s.After, s.HoldsBack, s.Parent = nil, nil, nil, nil, nil
		s.Wait = Wait{TimeoutSeconds: s.Wait.TimeoutSeconds}
		s.Inventory.Kept = ""
		kept = append(kept, s)
	}
	p.Steps = kept
	return p.Finish()
}
