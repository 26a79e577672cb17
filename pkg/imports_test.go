package pkg_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

const module = "github.com/fluxjob/kubectl-fluxjob/"

// layers lists every package below pkg with the packages of this module that it
// imports. Each imports only what stands above it.
var layers = []struct {
	name    string
	imports []string
}{
	{"object", nil},
	{"graph", nil},
	{"plan", []string{"object"}},
	{"report", []string{"object", "plan"}},
	{"health", []string{"object", "plan"}},
	{"source", nil},
	{"manifest", []string{"object", "source"}},
	{"sops", nil},
	{"render", []string{"manifest", "object", "plan", "sops", "source"}},
	{"access", []string{"object", "plan"}},
	{"cluster", []string{"access", "object", "plan", "report"}},
	{"diff", []string{"cluster", "health", "object", "plan"}},
	{"execute", []string{"cluster", "diff", "health", "object", "plan", "report"}},
	{"journal", []string{"execute", "plan", "report"}},
	{"planner", []string{"cluster", "diff", "graph", "health", "manifest", "object", "plan", "render", "report", "source"}},
	{"present", []string{"diff", "object", "plan", "planner", "report"}},
	{"cmd", []string{"access", "cluster", "execute", "journal", "manifest", "object", "plan", "planner", "present", "report", "source"}},
}

// plain are the packages that are nothing but Go values and algorithms.
var plain = []string{"graph", "plan", "report"}

func TestAPackageImportsOnlyWhatTheLayersAllow(t *testing.T) {
	got := imports(t)
	want := map[string][]string{}
	above := map[string]bool{}
	for _, layer := range layers {
		for _, name := range layer.imports {
			if !above[name] {
				t.Errorf("%s imports %s, which does not stand above it", layer.name, name)
			}
		}
		above[layer.name] = true
		want[layer.name] = layer.imports
	}
	own := map[string][]string{}
	for name, paths := range got {
		own[name] = nil
		for _, p := range paths {
			if below, found := strings.CutPrefix(p, module+"pkg/"); found {
				own[name] = append(own[name], below)
			}
		}
	}
	if d := gocmp.Diff(want, own); d != "" {
		t.Errorf("the imports differ from the layers; think before you change the table (-want +got):\n%s", d)
	}
}

func TestPlainPackagesKnowNoKubernetes(t *testing.T) {
	all := imports(t)
	for _, name := range plain {
		for _, p := range all[name] {
			if domain, _, _ := strings.Cut(p, "/"); strings.Contains(domain, ".") && !strings.HasPrefix(p, module) {
				t.Errorf("%s imports %s", name, p)
			}
		}
	}
}

// imports returns what each package below this folder imports, without its
// tests.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string]map[string]bool{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "testdata":
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		name := path.Dir(filepath.ToSlash(file))
		if found[name] == nil {
			found[name] = map[string]bool{}
		}
		for _, spec := range parsed.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[name][p] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sorted := map[string][]string{}
	for name, paths := range found {
		sorted[name] = slices.Sorted(maps.Keys(paths))
	}
	return sorted
}
