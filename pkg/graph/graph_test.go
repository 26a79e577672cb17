package graph_test

import (
	"cmp"
	"errors"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/fluxjob/kubectl-fluxjob/pkg/graph"
)

func TestLevels(t *testing.T) {
	tests := []struct {
		name  string
		nodes []string
		deps  map[string][]string
		want  [][]string
	}{
		{name: "no nodes give no waves"},
		{name: "independent nodes share a wave in order", nodes: []string{"b", "a"}, want: [][]string{{"a", "b"}}},
		{
			name:  "a node stands one wave after its latest dependency",
			nodes: []string{"app", "db", "migrate", "dns"},
			deps:  map[string][]string{"app": {"migrate", "dns"}, "migrate": {"db"}},
			want:  [][]string{{"db", "dns"}, {"migrate"}, {"app"}},
		},
		{
			name:  "an unknown dependency is left out",
			nodes: []string{"app"},
			deps:  map[string][]string{"app": {"elsewhere"}},
			want:  [][]string{{"app"}},
		},
		{
			name:  "a dependency named twice counts once",
			nodes: []string{"a", "b", "a"},
			deps:  map[string][]string{"b": {"a", "a"}},
			want:  [][]string{{"a"}, {"b"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := graph.New(tt.nodes, tt.deps, cmp.Compare[string]).Levels()
			if err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("levels (-want +got):\n%s", d)
			}
		})
	}
}

func TestLevelsNamesTheMembersOfACycle(t *testing.T) {
	tests := []struct {
		name string
		deps map[string][]string
		want string
	}{
		{"a node that depends on itself", map[string][]string{"a": {"a"}}, "dependency cycle: a → a"},
		{"only the members are named", map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"b"}}, "dependency cycle: b → c → b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := graph.New([]string{"a", "b", "c"}, tt.deps, cmp.Compare[string]).Levels()
			if _, isCycle := errors.AsType[*graph.CycleError[string]](err); !isCycle {
				t.Fatalf("got %v, want a CycleError", err)
			}
			if err.Error() != tt.want {
				t.Errorf("got %q, want %q", err, tt.want)
			}
		})
	}
}

func TestReach(t *testing.T) {
	g := graph.New([]string{"a", "b", "c", "d"}, map[string][]string{"b": {"a"}, "c": {"b"}, "d": {"c", "a"}}, cmp.Compare[string])
	if d := gocmp.Diff([]string{"b", "c", "d"}, g.Dependents("a")); d != "" {
		t.Errorf("dependents (-want +got):\n%s", d)
	}
	if d := gocmp.Diff([]string{"a", "b", "c"}, g.Dependencies("d")); d != "" {
		t.Errorf("dependencies (-want +got):\n%s", d)
	}
	if got := g.Dependents("d"); len(got) != 0 {
		t.Errorf("the last node holds nothing back, got %v", got)
	}
}
