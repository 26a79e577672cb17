package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// doc returns a Kustomization of flux-system with the name.
func doc(name string) string {
	return `apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: ` + name + `
  namespace: flux-system
spec:
  interval: 10m
  prune: true
  path: ./apps
  sourceRef: {kind: GitRepository, name: flux-system}
`
}

func in(text, old, replacement string) string {
	return strings.Replace(text, old, replacement, 1)
}

// found is a Kustomization by its name and the place where it stands.
type found struct{ Key, Origin string }

func TestRead(t *testing.T) {
	const helm = "{{- if .Values.flux }}\napiVersion: kustomize.toolkit.fluxcd.io/v1\n{{- end }}\n"
	tests := []struct {
		name      string
		files     map[string]string
		filenames []string
		recursive bool
		stdin     string
		want      []found
	}{
		{
			name: "one file", files: map[string]string{"a.yaml": doc("pre")}, filenames: []string{"a.yaml"},
			want: []found{{"flux-system/pre", "a.yaml:1"}},
		},
		{
			name: "a List as kubectl get prints it", filenames: []string{"a.yaml"},
			files: map[string]string{"a.yaml": "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(doc("a")), "\n", "\n  ") +
				"\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: c}\n- " + strings.ReplaceAll(strings.TrimSpace(doc("b")), "\n", "\n  ") + "\n"},
			want: []found{{"flux-system/a", "a.yaml:1"}, {"flux-system/b", "a.yaml:1"}},
		},
		{
			name: "a file whose name does not look like a manifest is read if it is named", files: map[string]string{"a.txt": doc("pre")}, filenames: []string{"a.txt"},
			want: []found{{"flux-system/pre", "a.txt:1"}},
		},
		{
			name: "files in the order in which they are named", files: map[string]string{"a.yaml": doc("a"), "b.yaml": doc("b")}, filenames: []string{"b.yaml", "a.yaml"},
			want: []found{{"flux-system/b", "b.yaml:1"}, {"flux-system/a", "a.yaml:1"}},
		},
		{
			name: "a folder in lexical order, without its sub-folders and other files", filenames: []string{"c"},
			files: map[string]string{"c/b.yml": doc("b"), "c/a.yaml": doc("a"), "c/c.json": `{"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": {"name": "c", "namespace": "flux-system"}, "spec": {"interval": "1m", "prune": true, "sourceRef": {"kind": "Bucket", "name": "b"}}}`, "c/d.txt": doc("d"), "c/sub/e.yaml": doc("e")},
			want:  []found{{"flux-system/a", "c/a.yaml:1"}, {"flux-system/b", "c/b.yml:1"}, {"flux-system/c", "c/c.json:1"}},
		},
		{
			name: "a folder with its sub-folders, but not with Git's own", filenames: []string{"c"}, recursive: true,
			files: map[string]string{"c/a.yaml": doc("a"), "c/sub/deep/e.yaml": doc("e"), "c/.git/f.yaml": doc("f"), "c/sub/.git/g.yaml": doc("g")},
			want:  []found{{"flux-system/a", "c/a.yaml:1"}, {"flux-system/e", "c/sub/deep/e.yaml:1"}},
		},
		{
			name: "standard input", filenames: []string{"-"}, stdin: "---\n" + doc("pre"),
			want: []found{{"flux-system/pre", "standard input:2"}},
		},
		{
			name: "documents with the lines at which they begin", filenames: []string{"a.yaml"},
			files: map[string]string{"a.yaml": doc("a") + "---\n" + doc("b") + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n" + doc("c")},
			want:  []found{{"flux-system/a", "a.yaml:1"}, {"flux-system/b", "a.yaml:12"}, {"flux-system/c", "a.yaml:27"}},
		},
		{
			name: "lines that end as Windows ends them", filenames: []string{"a.yaml"},
			files: map[string]string{"a.yaml": strings.ReplaceAll(doc("a")+"---\n"+doc("b"), "\n", "\r\n")},
			want:  []found{{"flux-system/a", "a.yaml:1"}, {"flux-system/b", "a.yaml:12"}},
		},
		{
			name: "a comment and separators with spaces and comments after them", filenames: []string{"a.yaml"},
			files: map[string]string{"a.yaml": "# The applications.\n---  \n" + doc("a") + "--- # the second\n" + doc("b") + "---\n---\n"},
			want:  []found{{"flux-system/a", "a.yaml:3"}, {"flux-system/b", "a.yaml:14"}},
		},
		{
			name: "an indented separator inside of a text is none", filenames: []string{"a.yaml"},
			files: map[string]string{"a.yaml": doc("a") + "  patches:\n    - patch: |\n        a: 1\n        ---\n        b: 2\n"},
			want:  []found{{"flux-system/a", "a.yaml:1"}},
		},
		{
			name: "no line end at the end", filenames: []string{"a.yaml"}, files: map[string]string{"a.yaml": doc("a") + "---\n" + strings.TrimSpace(doc("b"))},
			want: []found{{"flux-system/a", "a.yaml:1"}, {"flux-system/b", "a.yaml:12"}},
		},
		{
			name: "the older API versions", filenames: []string{"a.yaml"},
			files: map[string]string{"a.yaml": in(doc("a"), "io/v1", "io/v1beta1") + "---\n" + in(doc("b"), "io/v1", "io/v1beta2") + "  validation: client\n"},
			want:  []found{{"flux-system/a", "a.yaml:1"}, {"flux-system/b", "a.yaml:12"}},
		},
		{
			name: "the namespace of the options for one that names none", filenames: []string{"a.yaml"},
			files: map[string]string{"a.yaml": in(doc("a"), "  namespace: flux-system\n", "")},
			want:  []found{{"from-options/a", "a.yaml:1"}},
		},
		{
			name: "documents of other kinds, even if they are not YAML", filenames: []string{"."},
			files: map[string]string{
				"a.yaml":             doc("a"),
				"chart.yaml":         "{{- if .Values.on }}\nkind: Job\n{{ end }}\n",
				"kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n",
				"list.yaml":          "- one\n- two\n",
				"broken.json":        "{",
				"crd.yaml":           "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: kustomizations.kustomize.toolkit.fluxcd.io}\n",
				"image.yaml":         "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {name: x}\n",
				"labels.yaml":        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, labels: {kustomize.toolkit.fluxcd.io/name: a}}\n",
				"empty.yaml":         "",
			},
			want: []found{{"flux-system/a", "a.yaml:1"}},
		},
		{
			name: "a Helm template beside it in one file", filenames: []string{"a.yaml"},
			files: map[string]string{"a.yaml": doc("a") + "---\n" + in(helm, "kustomize.toolkit.fluxcd.io", "example.com")},
			want:  []found{{"flux-system/a", "a.yaml:1"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(t, tt.files)
			read, err := Read(Options{Filenames: tt.filenames, Recursive: tt.recursive, Namespace: "from-options", Stdin: strings.NewReader(tt.stdin)})
			if err != nil {
				t.Fatal(err)
			}
			var got []found
			for _, k := range read.Kustomizations {
				got = append(got, found{k.Key().String(), k.Origin})
				if raw := k.Raw.GetNamespace() + "/" + k.Raw.GetName(); raw != k.Key().String() {
					t.Errorf("the raw document is %s, want %s", raw, k.Key())
				}
			}
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestReadTakesTheSources(t *testing.T) {
	const git = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: fleet, namespace: flux-system}\nspec: {ignore: '*.txt'}\n"
	write(t, map[string]string{
		"a.yaml": git + "---\n" + doc("a") + "---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: source.toolkit.fluxcd.io/v1beta2, kind: OCIRepository, metadata: {name: images}}\n",
		"b.yaml": "apiVersion: source.toolkit.fluxcd.io/v1\nkind: Bucket\nmetadata: {name: files, namespace: shop}\n---\n" +
			"apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nmetadata: {name: charts}\n---\n" +
			"{{ if .on }}\napiVersion: source.toolkit.fluxcd.io/v1\n{{ end }}\n---\n" +
			"apiVersion: example.com/v1\nkind: Bucket\nmetadata: {name: x, labels: {a: source.toolkit.fluxcd.io}}\n",
	})
	read, err := Read(Options{Filenames: []string{"."}, Namespace: "from-options"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range read.Sources {
		ignore, _, _ := unstructured.NestedString(u.Object, "spec", "ignore")
		got = append(got, u.GetKind()+"/"+u.GetNamespace()+"/"+u.GetName()+" "+ignore)
	}
	want := []string{"GitRepository/flux-system/fleet *.txt", "OCIRepository/from-options/images ", "Bucket/shop/files "}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	write(t, map[string]string{"a.yaml": doc("a") + "---\n" + git, "b.yaml": git})
	_, err = Read(Options{Filenames: []string{"."}})
	if want := "b.yaml:1: GitRepository flux-system/fleet is defined twice, first at a.yaml:12"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestReadFillsInTheSpec(t *testing.T) {
	write(t, map[string]string{"a.yaml": `
apiVersion: kustomize.toolkit.fluxcd.io/v1beta2
kind: Kustomization
metadata: {name: app, namespace: apps}
spec:
  interval: 1h30m
  timeout: 45s
  path: ./app
  force: true
  wait: true
  dependsOn: [{name: pre}, {name: db, namespace: data}]
  sourceRef: {kind: OCIRepository, name: fleet, namespace: flux-system}
  patchesStrategicMerge:
    - {apiVersion: batch/v1, kind: Job, metadata: {name: x}}
`})
	documents, err := Read(Options{Filenames: []string{"a.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	k := documents.Kustomizations[0]
	type read struct {
		Interval, Timeout time.Duration
		Path, Source      string
		Force, Wait       bool
		DependsOn         []string
	}
	got := read{
		Interval: k.Spec.Interval.Duration, Timeout: k.Spec.Timeout.Duration, Path: k.Spec.Path,
		Source: k.Spec.SourceRef.String(), Force: k.Spec.Force, Wait: k.Spec.Wait,
	}
	for _, d := range k.Spec.DependsOn {
		got.DependsOn = append(got.DependsOn, d.Namespace+"/"+d.Name)
	}
	want := read{90 * time.Minute, 45 * time.Second, "./app", "OCIRepository/flux-system/fleet", true, true, []string{"/pre", "data/db"}}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	spec, _ := k.Raw.Object["spec"].(map[string]any)
	if spec["patchesStrategicMerge"] == nil {
		t.Error("a field that only the older version has is lost")
	}
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name      string
		files     map[string]string
		filenames []string
		want      []string
	}{
		{"no such file", nil, []string{"absent.yaml"}, []string{"absent.yaml", "no such file"}},
		{
			"nothing of Flux in it",
			map[string]string{"a.yaml": "kind: Job\n", "b/c.txt": doc("a")},
			[]string{"a.yaml", "b"},
			[]string{"no Flux Kustomization (kustomize.toolkit.fluxcd.io) in a.yaml, b"},
		},
		{"an empty folder", map[string]string{"b/c/a.yaml": doc("a")}, []string{"b"}, []string{"no Flux Kustomization (kustomize.toolkit.fluxcd.io) in b"}},
		{
			"a version that is not known",
			map[string]string{"a.yaml": in(doc("a"), "io/v1", "io/v2")},
			[]string{"a.yaml"},
			[]string{`a.yaml:1: kustomization "a": API version kustomize.toolkit.fluxcd.io/v2 is not known, use v1, v1beta2 or v1beta1`},
		},
		{
			"a field that v1 does not have",
			map[string]string{"a.yaml": doc("a") + "  dependson: []\n"},
			[]string{"a.yaml"},
			[]string{`a.yaml:1: kustomization "a": `, `unknown field "spec.dependson"`},
		},
		{
			"a field that differs in case, which the API server does not know either",
			map[string]string{"a.yaml": doc("a") + "  Suspend: true\n"},
			[]string{"a.yaml"},
			[]string{`unknown field "spec.Suspend"`},
		},
		{
			"a field that is there twice",
			map[string]string{"a.yaml": doc("a") + "  prune: false\n"},
			[]string{"a.yaml"},
			[]string{`a.yaml:1: kustomization "a": `, `"prune" already set`},
		},
		{
			"a field of the wrong type",
			map[string]string{"a.yaml": in(doc("a"), "prune: true", "prune: 3")},
			[]string{"a.yaml"},
			[]string{`a.yaml:1: kustomization "a": `, "prune"},
		},
		{"no name", map[string]string{"a.yaml": in(doc("a"), "  name: a\n", "")}, []string{"a.yaml"}, []string{`a.yaml:1: kustomization "": metadata.name is missing`}},
		{
			"no kind of source",
			map[string]string{"a.yaml": in(doc("a"), "kind: GitRepository, ", "")},
			[]string{"a.yaml"},
			[]string{`a.yaml:1: kustomization "a": spec.sourceRef.kind is missing`},
		},
		{
			"no name of a source",
			map[string]string{"a.yaml": in(doc("a"), ", name: flux-system}", "}")},
			[]string{"a.yaml"},
			[]string{`a.yaml:1: kustomization "a": spec.sourceRef.name is missing`},
		},
		{"no interval", map[string]string{"a.yaml": in(doc("a"), "  interval: 10m\n", "")}, []string{"a.yaml"}, []string{`a.yaml:1: kustomization "a": spec.interval is missing`}},
		{
			"one that speaks of Flux and is not YAML",
			map[string]string{"a.yaml": doc("a") + "---\n{{ if }}\n" + doc("b")},
			[]string{"a.yaml"},
			[]string{"a.yaml:12: not valid YAML: "},
		},
		{
			"two of one name",
			map[string]string{"a.yaml": doc("a"), "b.yaml": "\n" + doc("x") + "---\n" + doc("a")},
			[]string{"a.yaml", "b.yaml"},
			[]string{"b.yaml:13: Kustomization flux-system/a is defined twice, first at a.yaml:1"},
		},
		{
			"one file named twice",
			map[string]string{"a.yaml": doc("a")},
			[]string{"a.yaml", "./a.yaml"},
			[]string{"./a.yaml:1: Kustomization flux-system/a is defined twice, first at a.yaml:1"},
		},
		{
			"all that is wrong is said at once",
			map[string]string{"a.yaml": in(doc("a"), "  interval: 10m\n", "") + "---\n" + in(doc("b"), "io/v1", "io/v3")},
			[]string{"a.yaml", "absent.yaml"},
			[]string{`"a": spec.interval is missing`, `a.yaml:11: kustomization "b": API version`, "absent.yaml"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(t, tt.files)
			_, err := Read(Options{Filenames: tt.filenames, Namespace: "default"})
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got  %q\nwant it to contain %q", err, want)
				}
			}
		})
	}
}

func TestSplitKeepsEveryByteOutsideOfTheSeparators(t *testing.T) {
	tests := []struct {
		name, text string
		want       []document
	}{
		{"nothing", "", []document{{[]byte(""), 1}}},
		{"one document", "a: 1\n", []document{{[]byte("a: 1\n"), 1}}},
		{"a separator first", "---\na: 1", []document{{[]byte(""), 1}, {[]byte("a: 1"), 2}}},
		{"a separator last", "a: 1\n---", []document{{[]byte("a: 1\n"), 1}, {[]byte(""), 3}}},
		{"a separator with a comment", "a: 1\n--- # b\nb: 2\n", []document{{[]byte("a: 1\n"), 1}, {[]byte("b: 2\n"), 3}}},
		{"four dashes are none", "a: 1\n----\nb: 2\n", []document{{[]byte("a: 1\n----\nb: 2\n"), 1}}},
		{"an indented one is none", "a: |\n  ---\n  b\n", []document{{[]byte("a: |\n  ---\n  b\n"), 1}}},
		{"Windows' line ends", "a: 1\r\n---\r\nb: 2\r\n", []document{{[]byte("a: 1\r\n"), 1}, {[]byte("b: 2\r\n"), 3}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := gocmp.Diff(tt.want, split([]byte(tt.text)), gocmp.AllowUnexported(document{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// FuzzSplitAndDecode holds that no input brings the reader down, that lines
// are counted right, and that what is accepted can be named.
func FuzzSplitAndDecode(f *testing.F) {
	for _, seed := range []string{"", "---", "---\n---", doc("a"), doc("a") + "---\n" + doc("b"), "kustomize.toolkit.fluxcd.io: [", "a\r\n--- \r\n\x00", "{\"apiVersion\": \"kustomize.toolkit.fluxcd.io/v1\", \"kind\": \"Kustomization\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := strings.Split(string(data), "\n")
		for _, d := range split(data) {
			if d.line < 1 || d.line > len(lines)+1 {
				t.Fatalf("a document begins at line %d of %d", d.line, len(lines))
			}
			text, _, _ := strings.Cut(string(d.data), "\n")
			if len(d.data) > 0 && lines[d.line-1] != text {
				t.Fatalf("line %d is %q, but the document begins with %q", d.line, lines[d.line-1], text)
			}
			ks, err := decode(d.data)
			for _, k := range ks.Kustomizations {
				if err == nil && k.Name == "" {
					t.Fatal("a Kustomization without a name was accepted")
				}
			}
		}
	})
}

// write makes the files in a new folder and works in it.
func write(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
