package render_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/pkg/manifest"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/render"
	"github.com/fluxjob/kubectl-fluxjob/pkg/source"
)

// The sections of an archive that are no files of the tree. What is expected is
// either want.yaml, with want.secrets and want.encrypted if there are any, or
// want.error.
const (
	fluxSection    = "flux.yaml"
	linksSection   = "links"
	wantYAML       = "want.yaml"
	wantSecrets    = "want.secrets"
	wantEncrypted  = "want.encrypted"
	wantError      = "want.error"
	treePrefix     = "tree/"
	varsPrefix     = "vars/"
	outsidePrefix  = "outside/"
	updateVariable = "UPDATE_GOLDEN"
)

// vars are ConfigMaps and Secrets by "Kind/namespace/name".
type vars map[string]map[string]string

func (v vars) Data(_ context.Context, kind string, key object.Key) (map[string]string, error) {
	if data, found := v[kind+"/"+key.String()]; found {
		return data, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: strings.ToLower(kind) + "s"}, key.Name)
}

// TestRender renders every archive of testdata. An archive holds one behaviour:
// the files of the tree below tree/, the Flux Kustomization, the values for
// substitution as vars/KIND/NAMESPACE/NAME, and what is expected.
func TestRender(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives in testdata: %v", err)
	}
	for _, file := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := rendered(t, archive)
			if os.Getenv(updateVariable) != "" {
				update(t, file, archive, got)
				return
			}
			want := map[string]string{}
			for _, f := range archive.Files {
				if strings.HasPrefix(f.Name, "want.") {
					want[f.Name] = string(f.Data)
				}
			}
			if d := gocmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// viewOf returns what the artifact would hold of the tree at root.
func viewOf(t *testing.T, root string, k *manifest.Kustomization) *source.View {
	t.Helper()
	tree, err := source.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	view, err := tree.View(source.Rules{Kind: k.Spec.SourceRef.Kind})
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// rendered returns the sections of what came of the archive.
func rendered(t *testing.T, archive *txtar.Archive) map[string]string {
	t.Helper()
	top, k, values := unpack(t, archive)
	root := filepath.Join(top, "tree")
	before := checksum(t, top)
	result, err := (&render.Renderer{Vars: values}).Render(t.Context(), k, viewOf(t, root, k))
	if after := checksum(t, top); after != before {
		t.Errorf("rendering changed the tree on the disk")
	}
	if err != nil {
		failed, is := errors.AsType[*render.Error](err)
		if !is {
			t.Fatalf("got a %T, want a *render.Error: %v", err, err)
		}
		text := strings.NewReplacer(root, "ROOT", top, "TOP").Replace(failed.Reason + ": " + failed.Error())
		return map[string]string{wantError: strings.TrimRight(text, "\n") + "\n"}
	}
	sections := map[string]string{wantYAML: documents(t, result.Objects)}
	if len(result.Secrets) > 0 {
		sections[wantSecrets] = strings.Join(result.Secrets, "\n") + "\n"
	}
	var encrypted strings.Builder
	for _, o := range result.Objects {
		if detail := result.Encrypted[o]; detail != "" {
			fmt.Fprintf(&encrypted, "%s: %s\n", object.RefOf(o), detail)
		}
	}
	if encrypted.Len() > 0 {
		sections[wantEncrypted] = encrypted.String()
	}
	return sections
}

// unpack writes the files of the archive below a new folder and reads the rest.
func unpack(t *testing.T, archive *txtar.Archive) (top string, k *manifest.Kustomization, values vars) {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	values = vars{}
	for _, f := range archive.Files {
		switch {
		case f.Name == fluxSection:
			read, err := manifest.Read(manifest.Options{Filenames: []string{manifest.Stdin}, Stdin: bytes.NewReader(f.Data)})
			if err != nil {
				t.Fatal(err)
			}
			k = read.Kustomizations[0]
		case f.Name == linksSection:
			for line := range strings.Lines(string(f.Data)) {
				name, target, _ := strings.Cut(strings.TrimSpace(line), " -> ")
				write(t, filepath.Join(top, name), func(path string) error { return os.Symlink(target, path) })
			}
		case strings.HasPrefix(f.Name, treePrefix), strings.HasPrefix(f.Name, outsidePrefix):
			write(t, filepath.Join(top, f.Name), func(path string) error { return os.WriteFile(path, f.Data, 0o600) })
		case strings.HasPrefix(f.Name, varsPrefix):
			data := map[string]string{}
			if err := yaml.Unmarshal(f.Data, &data); err != nil {
				t.Fatal(err)
			}
			values[strings.TrimPrefix(f.Name, varsPrefix)] = data
		case !strings.HasPrefix(f.Name, "want."):
			t.Fatalf("the section %s is not known", f.Name)
		}
	}
	if k == nil {
		t.Fatalf("there is no section %s", fluxSection)
	}
	return top, k, values
}

func write(t *testing.T, path string, with func(path string) error) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := with(path); err != nil {
		t.Fatal(err)
	}
}

// checksum covers names, modes, sizes and content of all that is below dir.
func checksum(t *testing.T, dir string) string {
	t.Helper()
	hash := sha256.New()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(hash, "%s %s %s\n", path, info.Mode(), info.ModTime())
		if entry.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(hash, "%d %s\n", len(data), data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", hash.Sum(nil))
}

func documents(t *testing.T, objects []*unstructured.Unstructured) string {
	t.Helper()
	var texts []string
	for _, o := range objects {
		data, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(data))
	}
	return strings.Join(texts, "---\n")
}

func update(t *testing.T, file string, archive *txtar.Archive, got map[string]string) {
	t.Helper()
	archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return strings.HasPrefix(f.Name, "want.") })
	for _, name := range []string{wantYAML, wantSecrets, wantEncrypted, wantError} {
		if text, found := got[name]; found {
			archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(text)})
		}
	}
	if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestStage(t *testing.T) {
	tests := []struct {
		name, apiVersion, kind string
		want                   int
	}{
		{"a definition", "apiextensions.k8s.io/v1", "CustomResourceDefinition", 1},
		{"a namespace", "v1", "Namespace", 1},
		{"a class", "storage.k8s.io/v1", "StorageClass", 2},
		{"a Job", "batch/v1", "Job", 3},
		{"a Secret", "v1", "Secret", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := &unstructured.Unstructured{}
			u.SetAPIVersion(tt.apiVersion)
			u.SetKind(tt.kind)
			u.SetName("a")
			if got := render.Stage(u); got != tt.want {
				t.Errorf("got stage %d, want %d", got, tt.want)
			}
		})
	}
}

func TestSortRefsIsTheOrderOfApplying(t *testing.T) {
	want := []string{
		"Namespace/shop", "ServiceAccount/shop/a", "Role/shop/a", "ConfigMap/shop/a", "Secret/shop/a", "Service/shop/a",
		"Deployment/shop/a", "Deployment/shop/b", "Job/shop/a", "ValidatingWebhookConfiguration/a",
	}
	refs := []object.Ref{
		{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration", Name: "a"},
		{Group: "batch", Kind: "Job", Namespace: "shop", Name: "a"},
		{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "b"},
		{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "a"},
		{Kind: "Service", Namespace: "shop", Name: "a"},
		{Kind: "Secret", Namespace: "shop", Name: "a"},
		{Kind: "ConfigMap", Namespace: "shop", Name: "a"},
		{Group: "rbac.authorization.k8s.io", Kind: "Role", Namespace: "shop", Name: "a"},
		{Kind: "ServiceAccount", Namespace: "shop", Name: "a"},
		{Kind: "Namespace", Name: "shop"},
	}
	render.SortRefs(refs)
	var got []string
	for _, r := range refs {
		got = append(got, r.String())
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
