package conformance

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// The names that every case uses.
const (
	sourceName        = "source"
	kustomizationName = "k"
)

// testCase is one archive.
type testCase struct {
	name  string
	files map[string]string
	// kustomizations are the names, in the order in which they are reconciled.
	kustomizations []string
	// children are those that others render and of which something is expected.
	children []string
	// awake are the children that are not suspended while plan is asked.
	awake  []string
	rounds []*round
	// before is the reason of the Ready condition after the first revision.
	before string
	// differs names the deliberate difference that the case shows.
	differs string
	// known says why plan and controller disagree where they should not.
	known string
	// needs is a program that the controller runs, "" if it runs none.
	needs string
	// onlyOne says that a twin cannot have what the case has.
	onlyOne bool
	// noPlan is what plan says in place of a plan, if there can be none.
	noPlan *regexp.Regexp
	// unready says that some Kustomization is to wait for a dependency in vain.
	unready bool
}

// round is what is expected of one reconciliation of all Kustomizations.
type round map[string]*expectation

// expectation is what is expected of one Kustomization.
type expectation struct {
	// ready is the reason of the Ready condition, message what it says.
	ready   string
	message *regexp.Regexp
	// problem is the reason why plan has no changes, "" if it has.
	problem string
	// objects tells of each object "action/reason outcome".
	objects map[string]string
	// holds tells of objects, and of JSON pointers into them, what is there then.
	holds map[[2]string]string
}

// The reasons of the Ready condition after everything was applied.
const (
	succeeded = "ReconciliationSucceeded"
	unhealthy = "HealthCheckFailed"
)

// chosen returns what is expected of the objects, with the outcomes that came
// where several may come.
func (e *expectation) chosen(got map[string]string) map[string]string {
	objects := maps.Clone(e.objects)
	for ref, want := range objects {
		said, outcomes, _ := strings.Cut(want, " ")
		for one := range strings.SplitSeq(outcomes, "|") {
			if said+" "+one == got[ref] {
				objects[ref] = got[ref]
			}
		}
	}
	return objects
}

func newExpectation() *expectation {
	return &expectation{ready: succeeded, objects: map[string]string{}, holds: map[[2]string]string{}}
}

// readCase reads an archive, with what is expected on the server; the archive's
// file name is the name of the case and of its namespace.
func readCase(file string, server *version.Version) (*testCase, error) {
	return readCaseAs(strings.TrimSuffix(filepath.Base(file), ".txtar"), file, server)
}

// readCaseAs reads an archive as a case of another name.
func readCaseAs(name, file string, server *version.Version) (*testCase, error) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		return nil, err
	}
	c := &testCase{name: name, files: map[string]string{}, before: succeeded}
	if strings.TrimSpace(string(archive.Comment)) == "" {
		return nil, fmt.Errorf("%s does not say what it is about", c.name)
	}
	names := map[string]bool{}
	for _, f := range archive.Files {
		if _, twice := c.files[f.Name]; twice {
			return nil, fmt.Errorf("%s: two files %s", c.name, f.Name)
		}
		c.files[f.Name] = c.expand(string(f.Data))
		if name, further := strings.CutPrefix(f.Name, "kustomization/"); further {
			name, _, _ = strings.Cut(name, ".")
			names[name] = true
		}
	}
	c.kustomizations = slices.Sorted(maps.Keys(names))
	if len(names) == 0 {
		c.kustomizations = []string{kustomizationName}
	}
	return c, c.readExpect(server)
}

func (c *testCase) expand(text string) string { return strings.ReplaceAll(text, "@NS", c.name) }

// readExpect reads the file expect. Each line is one of:
//
//	Kind/name action/reason outcome   an object in the case's namespace
//	Kind/namespace/name …             an object elsewhere; Kind//name has no namespace
//	holds OBJECT POINTER VALUE        what stands at a JSON pointer into an object at the end
//	ready REASON                      of the Ready condition; ReconciliationSucceeded if not said
//	message REGEXP                    of the Ready condition
//	problem REASON                    plan has no changes because of it
//	no-plan REGEXP                    of the error, as there is no plan at all
//	before REASON                     of the Ready condition after the first revision
//	differs NAME                      the deliberate difference that the case shows
//	known WHY                         plan and controller disagree where they should not
//	only-one                          something of the case can exist only once in the cluster, a twin cannot have it
//	needs PROGRAM                     the controller runs it; where it is missing, the case is skipped
//	kustomization NAME                what follows is about this one; another name than those of the files is that of one that is rendered
//	awake NAME                        this one, which is rendered, is not suspended while plan is asked
//	again                             what follows is about one more reconciliation of the same tree
//	since VERSION LINE                one of these lines that holds from this version of the server on
//	below VERSION LINE                one that holds on older servers
//
// The outcomes are those of agree_test.go; of "one|other" either may come, as the
// controller works on several objects at once. That plan and controller agree
// is checked on every server.
func (c *testCase) readExpect(server *version.Version) error {
	if _, found := c.files["expect"]; !found {
		return fmt.Errorf("%s expects nothing", c.name)
	}
	current := c.kustomizations[0]
	c.rounds = []*round{newRound(c.kustomizations)}
	for line := range strings.Lines(c.files["expect"]) {
		line, err := onServer(line, server)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.Join(strings.Fields(rest), " ")
		e := (*c.rounds[len(c.rounds)-1])[current]
		switch word {
		case "":
		case "ready":
			e.ready, c.unready = rest, c.unready || rest == plan.DependencyNotReady
		case "message", "no-plan":
			expression, err := regexp.Compile(rest)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if word == "message" {
				e.message = expression
			} else {
				c.noPlan = expression
			}
		case "problem":
			e.problem = rest
		case "holds":
			ref, at, _ := strings.Cut(rest, " ")
			pointer, value, _ := strings.Cut(at, " ")
			e.holds[[2]string{c.full(ref), pointer}] = value
		case "before":
			c.before = rest
		case "differs":
			c.differs = rest
		case "known":
			c.known = rest
		case "only-one":
			c.onlyOne = true
		case "needs":
			c.needs = rest
		case "kustomization":
			if current = rest; !slices.Contains(c.kustomizations, current) && !slices.Contains(c.children, current) {
				c.children = append(c.children, current)
			}
			if r := *c.rounds[len(c.rounds)-1]; r[current] == nil {
				r[current] = newExpectation()
			}
		case "awake":
			c.awake = append(c.awake, rest)
		case "again":
			c.rounds, current = append(c.rounds, newRound(c.kustomizations)), c.kustomizations[0]
		default:
			if e.objects[c.full(word)] != "" || rest == "" {
				return fmt.Errorf("%s: bad line %q", c.name, line)
			}
			e.objects[c.full(word)] = rest
		}
	}
	return nil
}

// onServer takes the version off a line of the file expect, and returns "" if
// the line does not hold on the server.
func onServer(line string, server *version.Version) (string, error) {
	words := strings.SplitN(strings.TrimSpace(line), " ", 3)
	if words[0] != "since" && words[0] != "below" {
		return line, nil
	}
	if len(words) < 3 {
		return "", fmt.Errorf("bad line %q", line)
	}
	v, err := version.ParseGeneric(words[1])
	if err != nil || server.AtLeast(v) != (words[0] == "since") {
		return "", err
	}
	return words[2], nil
}

func newRound(kustomizations []string) *round {
	r := round{}
	for _, name := range kustomizations {
		r[name] = newExpectation()
	}
	return &r
}

// full returns the object's name as Flux writes it.
func (c *testCase) full(ref string) string {
	parts := strings.Split(ref, "/")
	switch {
	case len(parts) == 2:
		return parts[0] + "/" + c.name + "/" + parts[1]
	case len(parts) == 3 && parts[1] == "":
		return parts[0] + "/" + parts[2]
	}
	return ref
}

// said is what plan says of a change, in the form of the file expect.
func said(change plan.Change) string {
	if change.Reason.Code == "" {
		return string(change.Action)
	}
	return string(change.Action) + "/" + string(change.Reason.Code)
}

// spec returns the spec of a Kustomization in a phase, "before" or "after".
func (c *testCase) spec(name, phase string) (map[string]any, error) {
	spec := map[string]any{
		"interval": "1h", "retryInterval": "1h", "path": "./", "prune": true, "targetNamespace": c.name,
		"sourceRef": map[string]any{"kind": "GitRepository", "name": sourceName},
	}
	file := "kustomization"
	if _, further := c.files[file+"/"+name]; further {
		file += "/" + name
	}
	return spec, c.merge(spec, file, file+"."+phase)
}

// sourceSpec returns the spec of the source.
func (c *testCase) sourceSpec() (map[string]any, error) {
	spec := map[string]any{"interval": "1h", "url": "https://example.com/source.git"}
	return spec, c.merge(spec, "source")
}

// merge puts the fields that the files name over those of spec.
func (c *testCase) merge(spec map[string]any, files ...string) error {
	for _, file := range files {
		var more map[string]any
		if err := yaml.Unmarshal([]byte(c.files[file]), &more); err != nil {
			return fmt.Errorf("%s: %s: %w", c.name, file, err)
		}
		for key, value := range more {
			if spec[key] = value; value == nil {
				delete(spec, key)
			}
		}
	}
	return nil
}

// has says whether the case has a tree for the phase.
func (c *testCase) has(phase string) bool {
	for name := range c.files {
		if strings.HasPrefix(name, phase+"/") {
			return true
		}
	}
	return false
}

// write puts the tree of a phase into a new folder. Without one of its own, the
// second revision has the tree of the first.
func (c *testCase) write(phase, dir string) error {
	if phase == "after" && !c.has("after") {
		phase = "before"
	}
	prefix := phase + "/"
	for name, content := range c.files {
		inTree, in := strings.CutPrefix(name, prefix)
		if !in {
			continue
		}
		path := filepath.Join(dir, filepath.FromSlash(inTree))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	for line := range strings.Lines(c.files[phase+".links"]) {
		name, target, _ := strings.Cut(strings.TrimSpace(line), " -> ")
		path := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(target, path)); err != nil {
			return err
		}
	}
	return nil
}
