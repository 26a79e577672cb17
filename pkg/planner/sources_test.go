package planner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fluxjob/kubectl-fluxjob/pkg/manifest"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/render"
	"github.com/fluxjob/kubectl-fluxjob/pkg/source"
)

// liveSource is a cluster in which every source is the one, or the error.
type liveSource struct {
	object *unstructured.Unstructured
	err    error
	asked  int
}

func (l *liveSource) Get(context.Context, object.Ref) (*unstructured.Unstructured, error) {
	l.asked++
	return l.object, l.err
}

// gitRepository is flux-system/fleet with the field of its spec.
func gitRepository(field, value string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
		"metadata": map[string]any{"name": "fleet", "namespace": "flux-system"}, "spec": map[string]any{field: value},
	}}
}

func TestSources(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rendered", "read", "live", "logo.png"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	absent := apierrors.NewNotFound(schema.GroupResource{Group: source.Group, Resource: "gitrepositories"}, "fleet")
	root := object.Key{Namespace: "flux-system", Name: "root"}
	read := []*manifest.Source{{Unstructured: gitRepository("ignore", "read")}}
	rendered := map[object.Key]*rendering{root: {Rendered: render.Rendered{Objects: []*unstructured.Unstructured{gitRepository("ignore", "rendered")}}}}
	tests := []struct {
		name string
		kind string
		read []*manifest.Source
		// members are the Kustomizations of the plan.
		members []object.Key
		live    *liveSource
		// hidden is the one file that the artifact leaves out.
		hidden  string
		problem string
		asked   int
	}{
		{"what is rendered comes first", "GitRepository", read, []object.Key{root}, &liveSource{object: gitRepository("ignore", "live")}, "rendered", "", 0},
		{"but not by what is no part of the plan", "GitRepository", read, nil, &liveSource{object: gitRepository("ignore", "live")}, "read", "", 0},
		{"what was read comes before the cluster", "GitRepository", read, nil, &liveSource{err: errors.New("away")}, "read", "", 0},
		{"what stands in the cluster", "GitRepository", nil, nil, &liveSource{object: gitRepository("ignore", "live")}, "live", "", 1},
		{"what stands nowhere has the defaults", "GitRepository", nil, nil, &liveSource{err: absent}, "logo.png", "", 1},
		{"a kind that has no rules", "ExternalArtifact", nil, nil, &liveSource{err: errors.New("away")}, "", "", 0},
		{"the cluster does not answer", "GitRepository", nil, nil, &liveSource{err: errors.New("away")}, "", "ArtifactFailed: what GitRepository/flux-system/fleet leaves out of its artifact is not known: away; add its file with -f", 2},
		{"what is not followed", "GitRepository", nil, nil, &liveSource{object: gitRepository("sparseCheckout", "app")}, "", "NotSupported: spec.sparseCheckout of GitRepository/flux-system/fleet is not supported yet: without it the plan would not be what Flux does", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSources(source.Everything(source.Tree{Dir: dir}), tt.live)
			s.learn(tt.read, tt.members, rendered)
			ref := source.Ref{Kind: tt.kind, Namespace: "flux-system", Name: "fleet"}
			view, problem := s.view(t.Context(), ref)
			if problem != nil {
				if got := problem.Reason + ": " + problem.Message; got != tt.problem {
					t.Errorf("got  %s\nwant %s", got, tt.problem)
				}
			}
			if again, _ := s.view(t.Context(), ref); again != view {
				t.Error("asked twice, it is another view")
			}
			if tt.live.asked != tt.asked {
				t.Errorf("the cluster was asked %d times, want %d", tt.live.asked, tt.asked)
			}
			if view == nil {
				return
			}
			var hidden []string
			for _, name := range []string{"rendered", "read", "live", "logo.png"} {
				if !view.Exists(filepath.Join(dir, name)) {
					hidden = append(hidden, name)
				}
			}
			if got := strings.Join(hidden, " "); got != tt.hidden {
				t.Errorf("hidden: got %q, want %q", got, tt.hidden)
			}
		})
	}
}
