package diff

import (
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/kustomize"
	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

func TestIgnorePaths(t *testing.T) {
	web := parsed(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop, labels: {tier: front}}")
	rule := func(target *kustomize.Selector, paths ...string) kustomizev1.IgnoreRule {
		return kustomizev1.IgnoreRule{Paths: paths, Target: target}
	}
	tests := []struct {
		name  string
		rules []kustomizev1.IgnoreRule
		want  []string
	}{
		{"no rules", nil, nil},
		{"a rule for every object, its paths in their order", []kustomizev1.IgnoreRule{rule(nil, "/spec/b", "/spec/a")}, []string{"/spec/b", "/spec/a"}},
		{"of two rules for every object the last", []kustomizev1.IgnoreRule{rule(nil, "/spec/a"), rule(nil, "/spec/b")}, []string{"/spec/b"}},
		{"a rule for its kind", []kustomizev1.IgnoreRule{rule(&kustomize.Selector{Kind: "Deployment"}, "/spec/a")}, []string{"/spec/a"}},
		{"a rule for a part of its name", []kustomizev1.IgnoreRule{rule(&kustomize.Selector{Name: "we"}, "/spec/a")}, nil},
		{"a rule for another namespace", []kustomizev1.IgnoreRule{rule(&kustomize.Selector{Namespace: "stage"}, "/spec/a")}, nil},
		{
			"several rules, in the same order every time",
			[]kustomizev1.IgnoreRule{rule(&kustomize.Selector{LabelSelector: "tier=front"}, "/spec/c"), rule(&kustomize.Selector{Group: "apps"}, "/spec/b"), rule(nil, "/spec/a")},
			[]string{"/spec/a", "/spec/b", "/spec/c"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ignore, err := CompileIgnore(tt.rules)
			if err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(tt.want, ignore.paths(web)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestCompileIgnoreTellsTheControllersError(t *testing.T) {
	_, err := CompileIgnore([]kustomizev1.IgnoreRule{{Paths: []string{"/spec"}, Target: &kustomize.Selector{LabelSelector: "a in"}}})
	const want = "failed to create ignore rule selector: invalid label selector: unable to parse requirement: found '' expected: '('"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

const webYAML = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  managedFields:
  - {manager: kustomize-controller, operation: Apply, fieldsType: FieldsV1, fieldsV1: {"f:spec": {"f:replicas": {}, "f:paused": {}}}}
  - {manager: editor, operation: Update, fieldsType: FieldsV1, fieldsV1: {"f:spec": {"f:replicas": {}}}}
  - {manager: scaler, operation: Apply, subresource: scale, fieldsType: FieldsV1, fieldsV1: {"f:spec": {"f:replicas": {}}}}
  - manager: another
    operation: Apply
    fieldsType: FieldsV1
    fieldsV1:
      "f:metadata": {"f:labels": {"f:example.com/theirs": {}}}
      "f:spec":
        "f:minReadySeconds": {}
        "f:containers":
          'k:{"name":"b"}': {".": {}, "f:image": {}}
        "f:ports":
          'k:{"port":80}': {".": {}, "f:name": {}}
`

func TestPayload(t *testing.T) {
	web := func(spec string) *unstructured.Unstructured { return parsed(t, webYAML+"spec: "+spec) }
	tests := []struct {
		name                        string
		desired, live, dryRun, want string
		path                        string
	}{
		{"what does not differ is written as it is rendered", "{replicas: 2}", "{replicas: 2}", "{replicas: 2}", "{replicas: 2}", "/spec/replicas"},
		{"what differs is adopted", "{replicas: 2}", "{replicas: 5}", "{replicas: 2}", "{replicas: 5}", "/spec/replicas"},
		{"what differs elsewhere is written", "{replicas: 2, paused: true}", "{replicas: 2}", "{replicas: 2, paused: true}", "{replicas: 2, paused: true}", "/spec/replicas"},
		{"what is gone from the live object is written as null", "{replicas: 2}", "{}", "{replicas: 2}", "{replicas: null}", "/spec/replicas"},
		{"what the server keeps although it is not rendered", "{}", "{replicas: 5}", "{replicas: 5}", "{}", "/spec/replicas"},
		{"a field that another manager applies is left out", "{minReadySeconds: 2}", "{minReadySeconds: 5}", "{minReadySeconds: 2}", "{}", "/spec/minReadySeconds"},
		{"a field above one that another manager applies is left out as well", "{minReadySeconds: 2}", "{minReadySeconds: 5}", "{minReadySeconds: 2}", "", "/spec"},
		{
			"an element that another manager applies, by its key",
			"{containers: [{name: a}, {name: b, image: 'b:1'}]}", "{containers: [{name: a}, {name: b, image: 'b:5'}]}", "{containers: [{name: a}, {name: b, image: 'b:1'}]}",
			"{containers: [{name: a}, {name: b}]}", "/spec/containers/1/image",
		},
		{
			"an element that another manager does not apply",
			"{containers: [{name: a, image: 'a:1'}]}", "{containers: [{name: a, image: 'a:5'}]}", "{containers: [{name: a, image: 'a:1'}]}",
			"{containers: [{name: a, image: 'a:5'}]}", "/spec/containers/0/image",
		},
		{
			"an element whose key is a number is not recognised",
			"{ports: [{port: 80, name: a}]}", "{ports: [{port: 80, name: b}]}", "{ports: [{port: 80, name: a}]}",
			"{ports: [{port: 80, name: b}]}", "/spec/ports/0/name",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			desired := web(tt.desired)
			got, err := Payload(desired, web(tt.live), web(tt.dryRun), []string{tt.path})
			if err != nil {
				t.Fatal(err)
			}
			want := web(tt.want)
			if tt.want == "" {
				unstructured.RemoveNestedField(want.Object, "spec")
			}
			if d := gocmp.Diff(want.Object, got.Object); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if d := gocmp.Diff(web(tt.desired).Object, desired.Object); d != "" {
				t.Errorf("the rendered object was changed (-want +got):\n%s", d)
			}
		})
	}
}

func TestPayloadLeavesOutALabelThatAnotherManagerApplies(t *testing.T) {
	labelled := func(value string) *unstructured.Unstructured {
		u := parsed(t, webYAML)
		u.SetLabels(map[string]string{"example.com/theirs": value})
		return u
	}
	got, err := Payload(labelled("one"), labelled("two"), labelled("one"), []string{"/metadata/labels/example.com~1theirs"})
	if err != nil || len(got.GetLabels()) != 0 {
		t.Errorf("got labels %v, %v", got.GetLabels(), err)
	}
}

func TestClassifyWithIgnoredPaths(t *testing.T) {
	config := func(data string) *unstructured.Unstructured {
		return parsed(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\ndata: "+data)
	}
	const missing = "spec.ignore: replace operation does not apply: doc is missing key: /data/theirs: missing value"
	tests := []struct {
		name                  string
		desired, live, dryRun string
		path                  string
		takenOver             bool
		action                plan.Action
		reason                plan.Reason
	}{
		{"an ignored path differs", "{theirs: a}", "{theirs: b}", "{theirs: a}", "/data/theirs", false, plan.Unchanged, plan.Reason{}},
		{"another differs", "{mine: a}", "{mine: b}", "{mine: a}", "/data/theirs", false, plan.Update, plan.Reason{Code: plan.Changed}},
		{
			"an ignored path differs, and the object is taken over", "{theirs: a}", "{theirs: b}", "{theirs: a}", "/data/theirs", true,
			plan.Update,
			plan.Reason{Code: plan.Ownership, Detail: "kustomize-controller takes over fields or annotations of other managers"},
		},
		{"a live value is ignored that is not rendered, and nothing is written", "{}", "{theirs: b}", "{}", "/data/theirs", false, plan.Unchanged, plan.Reason{}},
		{
			"a live value is ignored that is not rendered, and something is written", "{mine: a}", "{mine: b, theirs: b}", "{mine: a}", "/data/theirs", false,
			plan.Blocked,
			plan.Reason{Code: plan.DryRunFailed, Detail: missing},
		},
		{
			"a live value is ignored that is not rendered, and the object is taken over", "{}", "{theirs: b}", "{}", "/data/theirs", true,
			plan.Blocked,
			plan.Reason{Code: plan.DryRunFailed, Detail: missing},
		},
		{"it does not exist", "{theirs: a}", "", "{theirs: a}", "/data/theirs", false, plan.Create, plan.Reason{Code: plan.NotFound}},
		{
			"it does not exist, and could not be read without the path", "{theirs: a}", "", "{theirs: a}", "/kind", false, plan.Blocked,
			plan.Reason{Code: plan.DryRunFailed, Detail: "spec.ignore: an object without its kind cannot be read"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ignore, err := CompileIgnore([]kustomizev1.IgnoreRule{{Paths: []string{tt.path}}})
			if err != nil {
				t.Fatal(err)
			}
			o := Observed{Desired: config(tt.desired), DryRun: config(tt.dryRun)}
			if tt.live != "" {
				o.Live = config(tt.live)
			}
			if tt.takenOver {
				o.TakenOver = o.Live
			}
			action, reason := Classify(o, Policy{Ignore: ignore})
			if action != tt.action {
				t.Errorf("got %s, want %s", action, tt.action)
			}
			if d := gocmp.Diff(tt.reason, reason); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
