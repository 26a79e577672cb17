// Package krew checks plugins.yaml by the rules that krew publishes for the
// manifests of its index.
package krew

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// manifest is krew's Plugin, v1alpha2.
type manifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string     `json:"version"`
		Homepage         string     `json:"homepage"`
		ShortDescription string     `json:"shortDescription"`
		Description      string     `json:"description"`
		Caveats          string     `json:"caveats"`
		Platforms        []platform `json:"platforms"`
	} `json:"spec"`
}

type platform struct {
	URI      string `json:"uri"`
	Sha256   string `json:"sha256"`
	Bin      string `json:"bin"`
	Selector struct {
		MatchLabels map[string]string `json:"matchLabels"`
	} `json:"selector"`
}

func read(t *testing.T) manifest {
	t.Helper()
	data, err := os.ReadFile("../../plugins.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := yaml.UnmarshalStrict(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManifestNamesThePlugin(t *testing.T) {
	m := read(t)
	if m.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || m.Kind != "Plugin" {
		t.Errorf("it is a %s %s", m.APIVersion, m.Kind)
	}
	if m.Metadata.Name != "fluxjob" {
		t.Errorf("the plugin is called %q", m.Metadata.Name)
	}
	if !regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`).MatchString(m.Spec.Version) {
		t.Errorf("version %q is not a semantic version with a leading v", m.Spec.Version)
	}
	if d := m.Spec.ShortDescription; d == "" || len(d) > 50 || strings.ContainsAny(d, "\r\n") {
		t.Errorf("shortDescription %q: krew search shows one line of 50 characters", d)
	}
	if m.Spec.Description == "" || !strings.HasPrefix(m.Spec.Homepage, "https://") {
		t.Error("description or homepage is missing")
	}
}

func TestManifestPlatforms(t *testing.T) {
	allowed := []string{
		"windows/386", "windows/amd64", "windows/arm64", "darwin/386", "darwin/amd64", "darwin/arm64",
		"linux/386", "linux/amd64", "linux/arm", "linux/arm64", "linux/ppc64le",
	}
	m := read(t)
	if len(m.Spec.Platforms) == 0 {
		t.Fatal("no platform")
	}
	seen := map[string]bool{}
	for _, p := range m.Spec.Platforms {
		labels := p.Selector.MatchLabels
		name := labels["os"] + "/" + labels["arch"]
		if len(labels) != 2 || !slices.Contains(allowed, name) || seen[name] {
			t.Errorf("selector %v: want os and arch of one platform that krew knows, each once", labels)
		}
		seen[name] = true
		if !regexp.MustCompile(`^[a-f0-9]{64}$`).MatchString(p.Sha256) {
			t.Errorf("%s: sha256 %q is not 64 lower-case hexadecimal digits", name, p.Sha256)
		}
		archive := "kubectl-fluxjob_" + m.Spec.Version + "_" + labels["os"] + "_" + labels["arch"] + ".tar.gz"
		if !strings.HasPrefix(p.URI, "https://") || !strings.HasSuffix(p.URI, "/"+m.Spec.Version+"/"+archive) {
			t.Errorf("%s: uri %q does not end in %s", name, p.URI, archive)
		}
		if p.Bin != "kubectl-fluxjob" {
			t.Errorf("%s: bin is %q", name, p.Bin)
		}
	}
}
