package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/test/harness"
)

// The kinds of Flux.
var (
	kustomizations  = schema.GroupVersionResource{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Resource: "kustomizations"}
	gitRepositories = schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "gitrepositories"}
	definitions     = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// installFlux installs the kinds of Flux, which stand beside the sources of its
// controllers. The controller does not start unless it knows all sources.
func installFlux(ctx context.Context) error {
	for _, module := range []string{"github.com/fluxcd/kustomize-controller", "github.com/fluxcd/source-controller"} {
		dir, err := harness.GoList(fluxModule, "{{.Dir}}", module)
		if err != nil {
			return err
		}
		if dir == "" {
			return fmt.Errorf("module %s is not downloaded: go -C test/flux mod download", module)
		}
		files, err := filepath.Glob(filepath.Join(dir, "config/crd/bases/*.yaml"))
		if err != nil || len(files) == 0 {
			return errors.Join(err, fmt.Errorf("module %s has no CustomResourceDefinitions", module))
		}
		for _, file := range files {
			if err := install(ctx, file); err != nil {
				return fmt.Errorf("install %s: %w", filepath.Base(file), err)
			}
		}
	}
	return nil
}

func install(ctx context.Context, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	crd := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(data, &crd.Object); err != nil {
		return err
	}
	if _, err := client.Resource(definitions).Create(ctx, crd, metav1.CreateOptions{}); err != nil {
		return err
	}
	return wait.PollUntilContextCancel(ctx, pollPeriod, true, func(ctx context.Context) (bool, error) {
		live, err := client.Resource(definitions).Get(ctx, crd.GetName(), metav1.GetOptions{})
		return err == nil && condition(live, "Established") == "True", err
	})
}

// condition returns the status of a condition, or "".
func condition(u *unstructured.Unstructured, name string) string {
	status, _ := conditionOf(u, name)["status"].(string)
	return status
}

func conditionOf(u *unstructured.Unstructured, name string) map[string]any {
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, item := range list {
		if c, isMap := item.(map[string]any); isMap && c["type"] == name {
			return c
		}
	}
	return nil
}
