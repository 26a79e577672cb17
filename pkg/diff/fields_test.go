package diff

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

func TestFields(t *testing.T) {
	tests := []struct {
		name          string
		before, after string
		want          []plan.Field
	}{
		{"nothing differs", "{spec: {a: 1, b: [x, y]}}", "{spec: {b: [x, y], a: 1}}", nil},
		{"a scalar", "{spec: {a: 1}}", "{spec: {a: 2}}", []plan.Field{{Path: "spec.a", Old: "1", New: "2"}}},
		{"an added and a removed field, in the order of their paths", "{spec: {b: x}}", "{spec: {a: z}}", []plan.Field{{Path: "spec.a", New: "z"}, {Path: "spec.b", Old: "x"}}},
		{"null, an empty map and an empty list are as absent", "{spec: {a: null, b: {}, c: []}}", "{spec: {d: null, e: {}, f: []}}", nil},
		{"an empty text is not absent", "{spec: {}}", "{spec: {a: ''}}", []plan.Field{{Path: "spec.a", New: `""`}}},
		{"a number that becomes a text", "{spec: {port: 80}}", "{spec: {port: '80'}}", []plan.Field{{Path: "spec.port", Old: "80", New: `"80"`}}},
		{"a text that becomes a boolean", "{spec: {run: 'true'}}", "{spec: {run: true}}", []plan.Field{{Path: "spec.run", Old: `"true"`, New: "true"}}},
		{"false is not absent", "{spec: {run: false}}", "{spec: {}}", []plan.Field{{Path: "spec.run", Old: "false"}}},
		{"a map takes the place of a text", "{spec: {a: x}}", "{spec: {a: {b: 1}}}", []plan.Field{{Path: "spec.a", Old: "x", New: `{"b":1}`}}},
		{
			"keys with dots and slashes stand in brackets", "{metadata: {annotations: {example.com/a: x}}}", "{metadata: {annotations: {example.com/a: v, plain: z}}}",
			[]plan.Field{{Path: "metadata.annotations.plain", New: "z"}, {Path: "metadata.annotations[example.com/a]", Old: "x", New: "v"}},
		},
		{
			"elements of a list are found by their name", "{c: [{name: a, image: 'a:1'}, {name: b, image: 'b:1'}]}", "{c: [{name: b, image: 'b:2'}, {name: a, image: 'a:1'}]}",
			[]plan.Field{{Path: "c[b].image", Old: "b:1", New: "b:2"}},
		},
		{
			"elements that come and go", "{c: [{name: a}, {name: b}]}", "{c: [{name: a}, {name: z, value: 1}]}",
			[]plan.Field{{Path: "c[b]", Old: `{"name":"b"}`}, {Path: "c[z]", New: `{"name":"z","value":1}`}},
		},
		{
			"nothing but another order of named elements", "{c: [{name: a}, {name: b}]}", "{c: [{name: b}, {name: a}]}",
			[]plan.Field{{Path: "c", Old: "order: a, b", New: "order: b, a"}},
		},
		{
			"ports are found by their number, where they have no name", "{p: [{port: 80, x: 1}, {port: 443, x: 1}]}", "{p: [{port: 443, x: 2}, {port: 80, x: 1}]}",
			[]plan.Field{{Path: "p[443].x", Old: "1", New: "2"}},
		},
		{
			"one port with two protocols is found by both", "{p: [{port: 53, protocol: TCP, x: 1}, {port: 53, protocol: UDP, x: 1}]}", "{p: [{port: 53, protocol: UDP, x: 2}, {port: 53, protocol: TCP, x: 1}]}",
			[]plan.Field{{Path: "p[53/UDP].x", Old: "1", New: "2"}},
		},
		{
			"a second protocol for the port of a container", "{p: [{containerPort: 53, protocol: UDP}]}", "{p: [{containerPort: 53, protocol: TCP}, {containerPort: 53, protocol: UDP}]}",
			[]plan.Field{{Path: "p[53/TCP]", New: `{"containerPort":53,"protocol":"TCP"}`}},
		},
		{
			"a port that only changes its protocol", "{p: [{port: 53, protocol: TCP}, {port: 80, protocol: TCP}]}", "{p: [{port: 53, protocol: UDP}, {port: 80, protocol: TCP}]}",
			[]plan.Field{{Path: "p[53].protocol", Old: "TCP", New: "UDP"}},
		},
		{
			"named ports are found by their names", "{p: [{name: web, port: 80, protocol: TCP}]}", "{p: [{name: web, port: 8080, protocol: TCP}]}",
			[]plan.Field{{Path: "p[web].port", Old: "80", New: "8080"}},
		},
		{
			"mounts are found by their paths, though each has the name of a volume", "{m: [{name: a, mountPath: /a}, {name: b, mountPath: /b}]}", "{m: [{name: c, mountPath: /a}, {name: b, mountPath: /b, readOnly: true}]}",
			[]plan.Field{{Path: "m[/a].name", Old: "a", New: "c"}, {Path: "m[/b].readOnly", New: "true"}},
		},
		{
			"spread constraints of one topology",
			"{c: [{topologyKey: zone, whenUnsatisfiable: DoNotSchedule, maxSkew: 1}, {topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, maxSkew: 1}]}",
			"{c: [{topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, maxSkew: 2}, {topologyKey: zone, whenUnsatisfiable: DoNotSchedule, maxSkew: 1}]}",
			[]plan.Field{{Path: "c[zone/ScheduleAnyway].maxSkew", Old: "1", New: "2"}},
		},
		{
			"host aliases are found by their address", "{h: [{ip: 10.0.0.1, hostnames: [a]}, {ip: 10.0.0.2, hostnames: [b]}]}", "{h: [{ip: 10.0.0.2, hostnames: [b]}, {ip: 10.0.0.1, hostnames: [c]}]}",
			[]plan.Field{{Path: "h[10.0.0.1].hostnames[0]", Old: "a", New: "c"}},
		},
		{
			"a name that comes twice tells nothing apart", "{env: [{name: A, value: '1'}, {name: A, value: '2'}]}", "{env: [{name: A, value: '1'}, {name: A, value: '3'}]}",
			[]plan.Field{{Path: "env[1].value", Old: "2", New: "3"}},
		},
		{
			"the rules of a Role have no key", "{rules: [{resources: [pods], verbs: [get]}]}", "{rules: [{resources: [pods], verbs: [list]}]}",
			[]plan.Field{{Path: "rules[0].verbs[0]", Old: "get", New: "list"}},
		},
		{"an element of a list of texts", "{args: [a, b]}", "{args: [a, c]}", []plan.Field{{Path: "args[1]", Old: "b", New: "c"}}},
		{"a list of texts of another length, as it is written", "{args: [a]}", "{args: [a, b && c, <d>]}", []plan.Field{{Path: "args", Old: `["a"]`, New: `["a","b && c","<d>"]`}}},
		{"a list that was not there", "{}", "{args: [a]}", []plan.Field{{Path: "args", New: `["a"]`}}},
		{
			"fields deep inside", "{spec: {template: {spec: {containers: [{name: m, env: [{name: A, value: '1'}]}]}}}}", "{spec: {template: {spec: {containers: [{name: m, env: [{name: A, value: '2'}]}]}}}}",
			[]plan.Field{{Path: "spec.template.spec.containers[m].env[A].value", Old: "1", New: "2"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := gocmp.Diff(tt.want, Fields(parsed(t, tt.before), parsed(t, tt.after), Mask{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestFieldsTakesAWholeFloatForAnInteger(t *testing.T) {
	before := &unstructured.Unstructured{Object: map[string]any{"a": int64(3), "b": 0.5}}
	after := &unstructured.Unstructured{Object: map[string]any{"a": float64(3), "b": 0.25}}
	if d := gocmp.Diff([]plan.Field{{Path: "b", Old: "0.5", New: "0.25"}}, Fields(before, after, Mask{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestFieldsShowsNoSecret(t *testing.T) {
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, annotations: {note: old}}\n"
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: db}\n"
	tests := []struct {
		name          string
		before, after string
		values        []string
		want          []plan.Field
	}{
		{
			"the data of a Secret", secret + "data: {a: b2xk, b: c2FtZQ==, c: Z29uZQ==}", secret + "data: {a: bmV3, b: c2FtZQ==, d: YWRkZWQ=}", nil,
			[]plan.Field{{Path: "data.a", Old: "(secret)", New: "(secret, changed)"}, {Path: "data.c", Old: "(secret)"}, {Path: "data.d", New: "(secret)"}},
		},
		{"all data of a Secret that had none", secret, secret + "data: {a: b2xk}", nil, []plan.Field{{Path: "data", New: "(secret)"}}},
		{"its stringData", secret + "stringData: {a: old}", secret + "stringData: {a: new}", nil, []plan.Field{{Path: "stringData.a", Old: "(secret)", New: "(secret, changed)"}}},
		{
			"its annotations, which may repeat it", secret, "apiVersion: v1\nkind: Secret\nmetadata: {name: db, annotations: {note: new}}", nil,
			[]plan.Field{{Path: "metadata.annotations.note", Old: "(secret)", New: "(secret, changed)"}},
		},
		{"but its type", secret + "type: a", secret + "type: b", nil, []plan.Field{{Path: "type", Old: "a", New: "b"}}},
		{"the data of a ConfigMap is no secret", config + "data: {a: old}", config + "data: {a: new}", nil, []plan.Field{{Path: "data.a", Old: "old", New: "new"}}},
		{
			"but a value that came from a Secret, also inside of a text", config + "data: {a: x}", config + "data: {a: 'postgres://u:hunter2@db'}",
			[]string{"hunter2"},
			[]plan.Field{{Path: "data.a", Old: "(secret)", New: "(secret, changed)"}},
		},
		{
			"also inside of a list", config + "spec: {args: [a]}", config + "spec: {args: [a, --password=hunter2]}",
			[]string{"hunter2"},
			[]plan.Field{{Path: "spec.args", Old: "(secret)", New: "(secret, changed)"}},
		},
		{
			"also where JSON writes it otherwise", config + "spec: {args: [a]}", config + `spec: {args: [a, '--password=hu"nt&er\2']}`,
			[]string{`hu"nt&er\2`},
			[]plan.Field{{Path: "spec.args", Old: "(secret)", New: "(secret, changed)"}},
		},
		{
			"also as a number", config + "spec: {pin: 1}", config + "spec: {pin: 4711}",
			[]string{"4711"},
			[]plan.Field{{Path: "spec.pin", Old: "(secret)", New: "(secret, changed)"}},
		},
		{
			"a short value only where it is the whole", config + "data: {a: x, b: x}", config + "data: {a: pin, b: pinch}",
			[]string{"pin"},
			[]plan.Field{{Path: "data.a", Old: "(secret)", New: "(secret, changed)"}, {Path: "data.b", Old: "x", New: "pinch"}},
		},
		{
			"a value that it had before", config + "data: {a: hunter2}", config + "data: {}",
			[]string{"hunter2"},
			[]plan.Field{{Path: "data.a", Old: "(secret)"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := gocmp.Diff(tt.want, Fields(parsed(t, tt.before), parsed(t, tt.after), NewMask(tt.values))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestUnder(t *testing.T) {
	tests := []struct {
		name, path, cause string
		want              bool
	}{
		{"the field itself", "spec.completions", "spec.completions", true},
		{"a field below", "spec.template.spec.containers[m].image", "spec.template", true},
		{"an element that the server counts", "spec.template.spec.containers[m].image", "spec.template.spec.containers[0].image", true},
		{"a key in brackets", "metadata.annotations[example.com/a]", "metadata.annotations", true},
		{"a field that only begins alike", "spec.templates", "spec.template", false},
		{"a field above", "spec", "spec.template", false},
		{"another field", "spec.backoffLimit", "spec.template", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := under(tt.path, tt.cause); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestMask(t *testing.T) {
	tests := []struct {
		name, text string
		values     []string
		want       string
		hides      bool
	}{
		{"no values", "hunter2", nil, "hunter2", false},
		{"the whole text", "hunter2", []string{"hunter2"}, "(secret)", true},
		{"inside of a text, each time", "a hunter2 b hunter2", []string{"hunter2"}, "a (secret) b (secret)", true},
		{"the longest first, so that no rest is left", "hunter22", []string{"hunter2", "hunter22"}, "(secret)", true},
		{"a short value inside of a text stays", "a pin b", []string{"pin"}, "a pin b", false},
		{"a short value that is the whole text", "pin", []string{"pin"}, "(secret)", true},
		{"as Go quotes it", `Invalid value: "hun\"ter": no`, []string{`hun"ter`}, `Invalid value: "(secret)": no`, true},
		{"as JSON quotes it", `{"a":"hun\u0026ter"}`, []string{`hun&ter`}, `{"a":"(secret)"}`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := NewMask(tt.values)
			if got := m.Text(tt.text); got != tt.want {
				t.Errorf("Text: got %q, want %q", got, tt.want)
			}
			if got := m.Hides(tt.text); got != tt.hides {
				t.Errorf("Hides: got %t, want %t", got, tt.hides)
			}
		})
	}
}

func TestShownMasksTwoStates(t *testing.T) {
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\n"
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: db}\n"
	tests := []struct {
		name                  string
		before, after         string
		wantBefore, wantAfter string
	}{
		{
			"a Secret shows which keys change", secret + "data: {a: b2xk, b: c2FtZQ==}", secret + "data: {a: bmV3, b: c2FtZQ==, c: YWRk}",
			secret + "data: {a: (secret), b: (secret)}", secret + "data: {a: '(secret, changed)', b: (secret), c: (secret)}",
		},
		{
			"a Secret's annotations, which may repeat it", secret, "apiVersion: v1\nkind: Secret\nmetadata: {name: db, annotations: {note: x}}",
			secret, "apiVersion: v1\nkind: Secret\nmetadata: {name: db, annotations: {note: (secret)}}",
		},
		{"a short value and a number from a Secret", config + "spec: {a: x, b: 1}", config + "spec: {a: pin, b: 4711}", config + "spec: {a: (secret), b: (secret)}", config + "spec: {a: (secret), b: (secret)}"},
		{"a Secret that comes", "", secret + "data: {a: bmV3}", "", secret + "data: {a: (secret)}"},
		{"a Secret that goes", secret + "stringData: {a: x}", "", secret + "stringData: {a: (secret)}", ""},
		{
			"a value from a Secret in another object, and what it takes the place of", config + "data: {a: old-value, b: x}", config + "data: {a: u=hunter2, b: x}",
			config + "data: {a: (secret), b: x}", config + "data: {a: u=(secret), b: x}",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parse := func(text string) *unstructured.Unstructured {
				if text == "" {
					return nil
				}
				return parsed(t, text)
			}
			before, after := parse(tt.before), parse(tt.after)
			NewMask([]string{"hunter2", "pin", "4711"}).shown(before, after)
			if d := gocmp.Diff(parse(tt.wantBefore), before); d != "" {
				t.Errorf("before (-want +got):\n%s", d)
			}
			if d := gocmp.Diff(parse(tt.wantAfter), after); d != "" {
				t.Errorf("after (-want +got):\n%s", d)
			}
		})
	}
}

// FuzzFields holds that comparing never fails, that equal objects give no
// field, that different ones give the same fields each time, and that a known
// secret value is never shown.
func FuzzFields(f *testing.F) {
	f.Add([]byte(`{"spec":{"a":1}}`), []byte(`{"spec":{"a":"1"}}`))
	f.Add([]byte(`{"c":[{"name":"a"},{"name":"b"}]}`), []byte(`{"c":[{"name":"b"},{"name":"a","x":null}]}`))
	f.Add([]byte(`{"a.b":1,"a":{"b":2}}`), []byte(`{"a.b":3,"a":{"b":4}}`))
	f.Add([]byte(`{"c":[{"name":{}}]}`), []byte(`{"c":[{"name":[]},{"name":""}],"":{"":0}}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		before, after := map[string]any{}, map[string]any{}
		if json.UnmarshalCaseSensitivePreserveInts(a, &before) != nil || json.UnmarshalCaseSensitivePreserveInts(b, &after) != nil {
			return
		}
		u := func(m map[string]any) *unstructured.Unstructured {
			return (&unstructured.Unstructured{Object: m}).DeepCopy()
		}
		if same := Fields(u(before), u(before), Mask{}); len(same) != 0 {
			t.Fatalf("an object differs from itself: %v", same)
		}
		first := Fields(u(before), u(after), Mask{})
		if again := Fields(u(reordered(before)), u(reordered(after)), Mask{}); !slices.Equal(first, again) {
			t.Fatalf("the order of keys counts:\n%v\n%v", first, again)
		}
		if back := Fields(u(after), u(before), Mask{}); len(back) != len(first) {
			t.Fatalf("%d fields differ one way and %d the other", len(first), len(back))
		}
	})
}

// reordered returns a copy of m whose keys were put in in another order.
func reordered(m map[string]any) map[string]any {
	keys := slices.Sorted(maps.Keys(m))
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	c := make(map[string]any, len(m))
	for _, k := range keys {
		if nested, isMap := m[k].(map[string]any); isMap {
			c[k] = reordered(nested)
		} else {
			c[k] = m[k]
		}
	}
	return c
}

func parsed(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := json.UnmarshalCaseSensitivePreserveInts(data, &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}
