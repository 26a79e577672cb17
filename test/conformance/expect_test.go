package conformance

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/version"
)

func TestExpectationsOfAVersion(t *testing.T) {
	t.Parallel()
	const expect = `
ConfigMap/settings unchanged unchanged
since 1.36 Job/migrate update/changed configured
below 1.36 Job/migrate recreate/immutable-field recreated
below 1.35 ready ReconciliationFailed
`
	tests := map[string]struct {
		ready, job string
	}{
		"1.34.4": {"ReconciliationFailed", "recreate/immutable-field recreated"},
		"1.35.0": {succeeded, "recreate/immutable-field recreated"},
		"1.36.0": {succeeded, "update/changed configured"},
		"1.37.2": {succeeded, "update/changed configured"},
	}
	for server, want := range tests {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			c := &testCase{name: "case", files: map[string]string{"expect": expect}, kustomizations: []string{kustomizationName}}
			if err := c.readExpect(version.MustParseGeneric(server)); err != nil {
				t.Fatal(err)
			}
			got := (*c.rounds[0])[kustomizationName]
			if got.ready != want.ready {
				t.Errorf("want %s, got %s", want.ready, got.ready)
			}
			objects := map[string]string{"ConfigMap/case/settings": "unchanged unchanged", "Job/case/migrate": want.job}
			if d := gocmp.Diff(objects, got.objects); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestBadVersionsOfExpectations(t *testing.T) {
	t.Parallel()
	for _, expect := range []string{"since 1.36", "below ready ReconciliationFailed", "since new ready ReconciliationFailed"} {
		c := &testCase{name: "case", files: map[string]string{"expect": expect}, kustomizations: []string{kustomizationName}}
		if err := c.readExpect(version.MustParseGeneric("1.36.0")); err == nil {
			t.Errorf("%q is taken", expect)
		}
	}
}
