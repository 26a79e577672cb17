package diff

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestTransplant(t *testing.T) {
	const donor = `
metadata: {labels: {app.kubernetes.io/name: donor}}
ports: [{port: 53, protocol: UDP, nodePort: 2}]
spec:
  backoffLimit: 3
  template:
    spec:
      containers:
      - {name: b, image: "b:2", args: [x, y]}
      - {name: a, image: "a:2", env: [{name: LEVEL, value: debug}]}
`
	tests := []struct{ name, into, path, want string }{
		{"a field that differs", "spec: {backoffLimit: 1, parallelism: 2}", "spec.backoffLimit", "spec: {backoffLimit: 3, parallelism: 2}"},
		{"a field that the donor does not have", "spec: {backoffLimit: 1, parallelism: 2}", "spec.parallelism", "spec: {backoffLimit: 1}"},
		{"a field below one that is not there", "spec: {}", "metadata.labels[app.kubernetes.io/name]", "{spec: {}, metadata: {labels: {app.kubernetes.io/name: donor}}}"},
		{"a field of an item that stands elsewhere", "spec: {template: {spec: {containers: [{name: a, image: 'a:1'}]}}}", "spec.template.spec.containers[a].image", "spec: {template: {spec: {containers: [{name: a, image: 'a:2'}]}}}"},
		{"an item of a list that is not there", "spec: {template: {spec: {containers: [{name: a, image: 'a:1'}]}}}", "spec.template.spec.containers[a].env[LEVEL].value", "spec: {template: {spec: {containers: [{name: a, image: 'a:1', env: [{name: LEVEL, value: debug}]}]}}}"},
		{"an item that the donor does not have", "spec: {template: {spec: {containers: [{name: a}, {name: c}]}}}", "spec.template.spec.containers[c]", "spec: {template: {spec: {containers: [{name: a}]}}}"},
		{"an item that two fields name, where one would do", "ports: [{port: 53, protocol: UDP, nodePort: 1}]", "ports[53/UDP].nodePort", "ports: [{port: 53, protocol: UDP, nodePort: 2}]"},
		{"a scalar of a list by its place", "spec: {template: {spec: {containers: [{name: b, args: [x, z]}]}}}", "spec.template.spec.containers[b].args[1]", "spec: {template: {spec: {containers: [{name: b, args: [x, y]}]}}}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			into, from, want := parsed(t, tt.into), parsed(t, donor), parsed(t, tt.want)
			Transplant(into, from, tt.path)
			if d := gocmp.Diff(want.Object, into.Object); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if d := gocmp.Diff(parsed(t, donor).Object, from.Object); d != "" {
				t.Errorf("the donor was changed (-want +got):\n%s", d)
			}
		})
	}
}
