package diff

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

func TestComparableLeavesOutWhatTheServerKeeps(t *testing.T) {
	u := parsed(t, `
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
  namespace: b
  uid: u
  resourceVersion: "1"
  generation: 2
  creationTimestamp: "2026-11-05T12:00:00Z"
  managedFields: [{manager: x}]
  labels: {team: data}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}", note: x}
  finalizers: [f]
data: {k: v}
status: {x: y}
`)
	before := u.DeepCopy()
	want := parsed(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b, labels: {team: data}, annotations: {note: x}, finalizers: [f]}, data: {k: v}}")
	if d := gocmp.Diff(want, comparable(u)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := gocmp.Diff(before, u); d != "" {
		t.Errorf("the original was changed (-want +got):\n%s", d)
	}
}

func TestReplaceable(t *testing.T) {
	tests := []struct{ name, object, want string }{
		{
			"a Job without what ties it to its pods", `
{apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: b, labels: {batch.kubernetes.io/job-name: a, team: data}}, spec: {
  selector: {matchLabels: {batch.kubernetes.io/controller-uid: u}}, template: {metadata: {creationTimestamp: null,
    labels: {controller-uid: u, job-name: a, batch.kubernetes.io/controller-uid: u, batch.kubernetes.io/job-name: a, app: x}}}}}`,
			"{apiVersion: batch/v1, kind: Job, metadata: {namespace: b, labels: {team: data}}, spec: {template: {metadata: {labels: {app: x}}}}}",
		},
		{
			"a Job whose pods have no label of their own",
			"{apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: b}, spec: {template: {metadata: {labels: {job-name: a}}}}}",
			"{apiVersion: batch/v1, kind: Job, metadata: {namespace: b}, spec: {template: {metadata: {}}}}",
		},
		{
			"a Job with a selector that the user wrote",
			"{apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: b}, spec: {manualSelector: true, selector: {matchLabels: {app: x}}}}",
			"{apiVersion: batch/v1, kind: Job, metadata: {namespace: b}, spec: {manualSelector: true, selector: {matchLabels: {app: x}}}}",
		},
		{
			"a Service without its addresses and ports",
			"{apiVersion: v1, kind: Service, metadata: {name: a, namespace: b}, spec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], healthCheckNodePort: 3, ports: [{port: 80, nodePort: 30000}]}}",
			"{apiVersion: v1, kind: Service, metadata: {namespace: b}, spec: {ports: [{port: 80}]}}",
		},
		{
			"a Service without any address",
			"{apiVersion: v1, kind: Service, metadata: {name: a, namespace: b}, spec: {clusterIP: None, clusterIPs: [None], ports: [{port: 80}]}}",
			"{apiVersion: v1, kind: Service, metadata: {namespace: b}, spec: {clusterIP: None, ports: [{port: 80}]}}",
		},
		{
			"a Pod without its node and its token", `
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: b}, spec: {nodeName: n, volumes: [{name: data}, {name: kube-api-access-x}],
  initContainers: [{name: i, volumeMounts: [{name: kube-api-access-x, mountPath: /t}]}],
  containers: [{name: c, volumeMounts: [{name: data, mountPath: /d}, {name: kube-api-access-x, mountPath: /t}]}, {name: d}]}}`,
			`
{apiVersion: v1, kind: Pod, metadata: {namespace: b}, spec: {volumes: [{name: data}],
  initContainers: [{name: i}], containers: [{name: c, volumeMounts: [{name: data, mountPath: /d}]}, {name: d}]}}`,
		},
		{
			"a Pod with nothing but a token",
			"{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: b}, spec: {volumes: [{name: kube-api-access-x}], containers: [{name: c}]}}",
			"{apiVersion: v1, kind: Pod, metadata: {namespace: b}, spec: {containers: [{name: c}]}}",
		},
		{
			"a Deployment without its revision",
			"{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: b, annotations: {deployment.kubernetes.io/revision: '3', team: data}}}",
			"{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: b, annotations: {team: data}}}",
		},
		{
			"a claim without what binding noted", `
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a, namespace: b, annotations: {pv.kubernetes.io/bind-completed: "yes", pv.kubernetes.io/bound-by-controller: "yes",
  volume.beta.kubernetes.io/storage-provisioner: p, volume.kubernetes.io/storage-provisioner: p, volume.kubernetes.io/selected-node: n}}, spec: {}}`,
			"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: b}, spec: {}}",
		},
		{
			"a claim without its volume",
			"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a, namespace: b}, spec: {volumeName: v, storageClassName: s}}",
			"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: b}, spec: {storageClassName: s}}",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := gocmp.Diff(parsed(t, tt.want), replaceable(parsed(t, tt.object))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestDriftedIsTheControllersRule(t *testing.T) {
	const base = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b, labels: {x: y}, annotations: {n: m}}, data: {k: v}}"
	tests := []struct {
		name, dryRun string
		want         bool
	}{
		{"the same", base, false},
		{"a label", strings.Replace(base, "x: y", "x: z", 1), true},
		{"an annotation", strings.Replace(base, "n: m", "n: o", 1), true},
		{"a removed annotation", strings.Replace(base, ", annotations: {n: m}", "", 1), true},
		{"content", strings.Replace(base, "k: v", "k: w", 1), true},
		{"the status", strings.Replace(base, ", data:", ", status: {a: b}, data:", 1), false},
		{"a finalizer", strings.Replace(base, "name: a", "name: a, finalizers: [f]", 1), false},
		{"an owner", strings.Replace(base, "name: a", "name: a, ownerReferences: [{name: o}]", 1), false},
		{"the server's own metadata", strings.Replace(base, "name: a", "name: a, resourceVersion: '5', generation: 3, managedFields: []", 1), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := drifted(parsed(t, base), parsed(t, tt.dryRun)); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestAReplacementIsTriedUnderAnotherName(t *testing.T) {
	long := strings.Repeat("x", 63)
	for _, name := range []string{"a", long} {
		live := parsed(t, "{apiVersion: v1, kind: Service, metadata: {name: "+name+", namespace: b}, spec: {clusterIP: 10.0.0.1, ports: [{port: 80, nodePort: 30000}]}}")
		got := Replacement(live)
		if got.GetName() == name || len(got.GetName()) > 63 || !strings.Contains(got.GetName(), "-fluxjob-") {
			t.Errorf("%s becomes %s", name, got.GetName())
		}
		if d := gocmp.Diff(parsed(t, "{ports: [{port: 80}]}").Object, got.Object["spec"]); d != "" {
			t.Errorf("it holds what the live one holds (-want +got):\n%s", d)
		}
		if live.GetName() != name {
			t.Error("the original was renamed")
		}
	}
}

func TestWhatCanStandBesideTheLiveObject(t *testing.T) {
	tests := []struct {
		name string
		ref  object.Ref
		want bool
	}{
		{"a Job", object.Ref{Group: "batch", Kind: "Job"}, true},
		{"a Service", object.Ref{Kind: "Service"}, true},
		{"a definition, whose name is its content", object.Ref{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}, false},
		{"a namespace", object.Ref{Kind: "Namespace"}, false},
		{"an API service", object.Ref{Group: "apiregistration.k8s.io", Kind: "APIService"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := &unstructured.Unstructured{}
			u.SetGroupVersionKind(tt.ref.GVK())
			if got := Replacement(u) != nil; got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestRefusesChange(t *testing.T) {
	immutable := metav1.StatusCause{Field: "spec.template", Message: "Invalid value: {}: field is immutable"}
	required := metav1.StatusCause{Field: "spec.x", Message: "Required value"}
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"only immutable fields", invalid(immutable, immutable), true},
		{"an immutable field and a missing one", invalid(immutable, required), false},
		{"a missing field", invalid(required), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := refusesChange(tt.err); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestFieldsOfNamesWhatForcesARecreation(t *testing.T) {
	const before = "{apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: b, uid: u}, spec: {backoffLimit: 1, template: {spec: {containers: [{name: m, image: 'm:1'}]}}}}"
	const after = "{apiVersion: batch/v1, kind: Job, metadata: {name: a-fluxjob-x, namespace: b}, spec: {backoffLimit: 2, template: {spec: {containers: [{name: m, image: 'm:2'}]}}}}"
	o := Observed{Desired: parsed(t, before), Live: parsed(t, before), DryRunErr: immutableTemplate(), Replacement: parsed(t, after)}
	fields, shown := fieldsOf(o, plan.Recreate, Policy{})
	want := []plan.Field{
		{Path: "spec.backoffLimit", Old: "1", New: "2"},
		{Path: "spec.template.spec.containers[m].image", Old: "m:1", New: "m:2", ForcesRecreate: true},
	}
	if d := gocmp.Diff(want, fields); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if shown.GetName() != "a" {
		t.Errorf("what is shown bears the name %q", shown.GetName())
	}
}
