package render_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/render"
)

// forbidden are Vars of which the user may read none.
type forbidden struct{}

func (forbidden) Data(_ context.Context, kind string, key object.Key) (map[string]string, error) {
	return nil, apierrors.NewForbidden(schema.GroupResource{Resource: strings.ToLower(kind) + "s"}, key.Name, errors.New("no right"))
}

func TestKeysThatCannotBeReadLeaveTheValuesUnknown(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/sops-secret.txtar")
	if err != nil {
		t.Fatal(err)
	}
	top, k, _ := unpack(t, archive)
	result, err := (&render.Renderer{Vars: forbidden{}}).Render(t.Context(), k, viewOf(t, filepath.Join(top, "tree"), k))
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Objects) != 1 {
		t.Fatalf("got %d objects, want 1", len(result.Objects))
	}
	const want = `the keys cannot be read (secrets "sops-keys" is forbidden: no right): ask for the right to read Secret flux-system/sops-keys, or set SOPS_AGE_KEY or SOPS_AGE_KEY_FILE`
	if got := result.Encrypted[result.Objects[0]]; !strings.HasSuffix(got, want) {
		t.Errorf("got  %q\nwant %q at its end", got, want)
	}
}

func TestMayBe(t *testing.T) {
	rendered := object.Ref{Version: "v1", Kind: "Secret", Namespace: "shop", Name: "db-" + render.UnknownName}
	known := rendered
	known.Name = "db-"
	tests := []struct {
		name     string
		live     object.Ref
		rendered object.Ref
		want     bool
	}{
		{"another hash", object.Ref{Kind: "Secret", Namespace: "shop", Name: "db-cgkh2t5g44"}, rendered, true},
		{"another name", object.Ref{Kind: "Secret", Namespace: "shop", Name: "app-cgkh2t5g44"}, rendered, false},
		{"another kind", object.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "db-cgkh2t5g44"}, rendered, false},
		{"another namespace", object.Ref{Kind: "Secret", Namespace: "x", Name: "db-cgkh2t5g44"}, rendered, false},
		{"a name that is known", object.Ref{Kind: "Secret", Namespace: "shop", Name: "db-cgkh2t5g44"}, known, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := render.MayBe(tt.live, tt.rendered); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestCiphertext(t *testing.T) {
	const value = "ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]"
	tests := []struct {
		name        string
		annotations map[string]any
		data        map[string]any
		want        bool
	}{
		{"a value", nil, map[string]any{"a": value}, true},
		{"one in base64", nil, map[string]any{"a": "RU5DW0FFUzI1Nl9HQ00sZGF0YTpZUT09"}, true},
		{"one in a list", nil, map[string]any{"a": []any{"x", value}}, true},
		{"one that is meant to be", map[string]any{"kustomize.toolkit.fluxcd.io/decrypt": "Disabled"}, map[string]any{"a": value}, false},
		{"a text that speaks of it", nil, map[string]any{"a": "it begins with " + value}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"annotations": tt.annotations}, "data": tt.data}}
			if got := render.Ciphertext(o); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}
