package object_test

import (
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

const rbac = "rbac.authorization.k8s.io"

func TestIDIsThatOfAFluxInventory(t *testing.T) {
	tests := []struct {
		name string
		ref  object.Ref
		want string
	}{
		{
			"a namespaced object of a group",
			object.Ref{Group: "batch", Version: "v1", Kind: "Job", Namespace: "default", Name: "migrate"},
			"default_migrate_batch_Job",
		},
		{
			"a cluster-scoped object of the core group",
			object.Ref{Version: "v1", Kind: "Namespace", Name: "shop"},
			"_shop__Namespace",
		},
		{
			"an RBAC name with colons, which are written as two underscores",
			object.Ref{Group: rbac, Version: "v1", Kind: "ClusterRole", Name: "system:shop:reader"},
			"_system__shop__reader_rbac.authorization.k8s.io_ClusterRole",
		},
		{
			"a namespaced RBAC name with a colon",
			object.Ref{Group: rbac, Version: "v1", Kind: "RoleBinding", Namespace: "shop", Name: "a:b"},
			"shop_a__b_rbac.authorization.k8s.io_RoleBinding",
		},
		{
			"a name with dots",
			object.Ref{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition", Name: "crontabs.example.com"},
			"_crontabs.example.com_apiextensions.k8s.io_CustomResourceDefinition",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.ref.ID(); got != tt.want {
				t.Errorf("ID: got %q, want %q", got, tt.want)
			}
			back, err := object.ParseID(tt.want, tt.ref.Version)
			if err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(tt.ref, back); d != "" {
				t.Errorf("ParseID (-want +got):\n%s", d)
			}
		})
	}
}

func TestIDDoesNotTellVersionsApart(t *testing.T) {
	old := object.Ref{Group: "batch", Version: "v1beta1", Kind: "CronJob", Namespace: "a", Name: "b"}
	current := old
	current.Version = "v1"
	if old.ID() != current.ID() {
		t.Errorf("got %q and %q for two versions of one object", old.ID(), current.ID())
	}
}

func TestParseIDNamesTheEntryThatItCannotRead(t *testing.T) {
	for _, id := range []string{"", "default", "default_migrate", "default_migrate_batch"} {
		t.Run(id, func(t *testing.T) {
			ref, err := object.ParseID(id, "v1")
			if err == nil {
				t.Fatalf("got %v, want an error", ref)
			}
			if want := `parse inventory entry "` + id + `"`; !strings.Contains(err.Error(), want) {
				t.Errorf("got %q, want it to contain %q", err, want)
			}
		})
	}
}

func TestRefOf(t *testing.T) {
	u := fromYAML(t, "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, namespace: shop}")
	want := object.Ref{Group: "batch", Version: "v1", Kind: "Job", Namespace: "shop", Name: "migrate"}
	if d := gocmp.Diff(want, object.RefOf(u)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := gocmp.Diff(schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "Job"}, want.GVK()); d != "" {
		t.Errorf("GVK (-want +got):\n%s", d)
	}
	if d := gocmp.Diff(object.Key{Namespace: "shop", Name: "migrate"}, want.Key()); d != "" {
		t.Errorf("Key (-want +got):\n%s", d)
	}
}

func TestString(t *testing.T) {
	tests := []struct {
		name, got, want string
	}{
		{"a namespaced object", object.Ref{Group: "batch", Kind: "Job", Namespace: "shop", Name: "migrate"}.String(), "Job/shop/migrate"},
		{"a cluster-scoped object", object.Ref{Kind: "Namespace", Name: "shop"}.String(), "Namespace/shop"},
		{"a key", object.Key{Namespace: "flux-system", Name: "pre"}.String(), "flux-system/pre"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("got %q, want %q", tt.got, tt.want)
			}
		})
	}
}

func TestKeysAreOrderedByNamespaceThenName(t *testing.T) {
	want := []object.Key{{Namespace: "a", Name: "z"}, {Namespace: "b", Name: "a"}, {Namespace: "b", Name: "b"}, {Namespace: "b", Name: "b"}, {Namespace: "c", Name: "a"}}
	got := []object.Key{want[4], want[2], want[0], want[3], want[1]}
	slices.SortFunc(got, object.Key.Compare)
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for i, a := range want {
		for j, b := range want {
			if a.Compare(b) != -b.Compare(a) {
				t.Errorf("comparing %d with %d is not the opposite of the reverse", i, j)
			}
		}
	}
	if got := want[2].Compare(want[3]); got != 0 {
		t.Errorf("equal keys compare as %d", got)
	}
}

func TestKinds(t *testing.T) {
	type kinds struct{ Job, Secret, Namespace, CRD bool }
	tests := []struct {
		name string
		ref  object.Ref
		want kinds
	}{
		{"a Job", object.Ref{Group: "batch", Kind: "Job"}, kinds{Job: true}},
		{"a Job of another group", object.Ref{Group: "batch.volcano.sh", Kind: "Job"}, kinds{}},
		{"a CronJob", object.Ref{Group: "batch", Kind: "CronJob"}, kinds{}},
		{"a Secret", object.Ref{Kind: "Secret"}, kinds{Secret: true}},
		{"a Secret of another group", object.Ref{Group: "example.com", Kind: "Secret"}, kinds{}},
		{"a Namespace", object.Ref{Kind: "Namespace"}, kinds{Namespace: true}},
		{"a definition", object.Ref{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}, kinds{CRD: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := kinds{tt.ref.IsJob(), tt.ref.IsSecret(), tt.ref.IsNamespace(), tt.ref.IsCRD()}
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	const base = `
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: b, labels: {x: "1", y: "2"}}
data: {k: v}
`
	tests := []struct {
		name, other string
		same        bool
	}{
		{"another order of keys is the same", "kind: ConfigMap\ndata: {k: v}\nmetadata: {labels: {y: \"2\", x: \"1\"}, namespace: b, name: a}\napiVersion: v1\n", true},
		{"another value is not", strings.Replace(base, "k: v", "k: w", 1), false},
		{"another type of a value is not", strings.Replace(base, "k: v", "k: 1", 1), false},
		{"a further key is not", base + "immutable: true\n", false},
		{"a further label is not", strings.Replace(base, `y: "2"`, `y: "2", z: "3"`, 1), false},
	}
	digest := object.Digest(fromYAML(t, base))
	if len(digest) != len("sha256:")+64 || !strings.HasPrefix(digest, "sha256:") {
		t.Errorf("got %q, want sha256: and 64 hexadecimal digits", digest)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if same := object.Digest(fromYAML(t, tt.other)) == digest; same != tt.same {
				t.Errorf("same digest: got %t, want %t", same, tt.same)
			}
		})
	}
}

func fromYAML(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}
