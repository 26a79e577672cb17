package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	k8syaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

const (
	// patience is how long something that has to happen may take on a busy
	// machine.
	patience = 2 * time.Minute
	// pollPeriod is the pause between two looks at what has to happen.
	pollPeriod = 50 * time.Millisecond

	lastApplied   = "kubectl.kubernetes.io/last-applied-configuration"
	kubectlClient = "kubectl-client-side-apply"
)

// step does one line of the file between:
//
//	wait OBJECT STATE             until a Job is Running, Complete, Failed or Suspended, a Kustomization ready, or an object gone
//	delete OBJECT                 and wait until it is gone
//	delete OBJECT held            by a finalizer, so that it stays
//	patch OBJECT as MANAGER JSON  as "kubectl edit" does; OBJECT:scale is the subresource
//	create FILE as MANAGER        what stands in between/FILE
//	apply FILE as MANAGER         on the server's side, with forced conflicts
//	kubectl-apply FILE            as "kubectl apply" does
//	refused FILE                  until the server refuses to apply it, in a dry-run
//
// An object is named as in the file expect.
func (c *testCase) step(ctx context.Context, line string) error {
	words := strings.Fields(line)
	if len(words) < 2 {
		return errors.New("bad step")
	}
	manager := ""
	if len(words) > 3 && words[2] == "as" {
		manager = words[3]
	}
	switch words[0] {
	case "wait":
		return c.wait(ctx, words[1], words[2])
	case "delete":
		return c.delete(ctx, words[1], words[2:])
	case "patch":
		_, text, _ := strings.Cut(line, " as "+manager+" ")
		return c.patch(ctx, words[1], manager, text)
	case "create":
		return c.each(words[1], func(u *unstructured.Unstructured) error { return c.create(ctx, u, manager) })
	case "apply":
		return c.each(words[1], func(u *unstructured.Unstructured) error { return c.apply(ctx, u, manager) })
	case "kubectl-apply":
		return c.each(words[1], func(u *unstructured.Unstructured) error { return c.kubectlApply(ctx, u) })
	case "refused":
		return c.each(words[1], func(u *unstructured.Unstructured) error { return c.refused(ctx, u) })
	}
	return errors.New("bad step")
}

func (c *testCase) wait(ctx context.Context, ref, state string) error {
	return wait.PollUntilContextCancel(ctx, pollPeriod, true, func(ctx context.Context) (bool, error) {
		u, err := c.get(ctx, ref)
		if apierrors.IsNotFound(err) {
			return state == "gone", nil
		}
		return err == nil && state != "gone" && is(u, state), err
	})
}

func is(job *unstructured.Unstructured, state string) bool {
	if state == "Running" {
		ready, _, _ := unstructured.NestedInt64(job.Object, "status", "ready")
		return ready > 0
	}
	return condition(job, strings.ToUpper(state[:1])+state[1:]) == "True"
}

func (c *testCase) delete(ctx context.Context, ref string, held []string) error {
	r, name, err := c.resource(ref)
	if err != nil {
		return err
	}
	if len(held) > 0 {
		if err := c.patch(ctx, ref, "somebody", `{"metadata":{"finalizers":["example.com/held"]}}`); err != nil {
			return err
		}
		return r.Delete(ctx, name, metav1.DeleteOptions{})
	}
	background := metav1.DeletePropagationBackground
	if err := r.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		return err
	}
	return c.wait(ctx, ref, "gone")
}

func (c *testCase) patch(ctx context.Context, ref, manager, text string) error {
	ref, subresource, _ := strings.Cut(ref, ":")
	r, name, err := c.resource(ref)
	if err != nil {
		return err
	}
	var subresources []string
	if subresource != "" {
		subresources = append(subresources, subresource)
	}
	_, err = r.Patch(ctx, name, types.MergePatchType, []byte(text), metav1.PatchOptions{FieldManager: manager}, subresources...)
	return err
}

func (c *testCase) create(ctx context.Context, u *unstructured.Unstructured, manager string) error {
	r, err := resourceOf(u)
	if err != nil {
		return err
	}
	_, err = r.Create(ctx, u, metav1.CreateOptions{FieldManager: manager})
	return err
}

func (c *testCase) apply(ctx context.Context, u *unstructured.Unstructured, manager string) error {
	r, err := resourceOf(u)
	if err != nil {
		return err
	}
	_, err = r.Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: manager, Force: true})
	return err
}

// kubectlApply creates or patches the object as kubectl does on the client's
// side: with what was applied in an annotation.
func (c *testCase) kubectlApply(ctx context.Context, u *unstructured.Unstructured) error {
	text, err := json.Marshal(u.Object)
	if err != nil {
		return err
	}
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[lastApplied] = string(text)
	u.SetAnnotations(annotations)
	err = c.create(ctx, u, kubectlClient)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	if text, err = json.Marshal(u.Object); err != nil {
		return err
	}
	return c.patch(ctx, object.RefOf(u).String(), kubectlClient, string(text))
}

// refused waits until admission refuses the object: a policy that was made just
// now takes a moment to be in force.
func (c *testCase) refused(ctx context.Context, u *unstructured.Unstructured) error {
	r, err := resourceOf(u)
	if err != nil {
		return err
	}
	return wait.PollUntilContextCancel(ctx, pollPeriod, true, func(ctx context.Context) (bool, error) {
		_, err := r.Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: "somebody", Force: true, DryRun: []string{metav1.DryRunAll}})
		return err != nil && ctx.Err() == nil, nil
	})
}

// each does something with every object of a file of the case.
func (c *testCase) each(file string, do func(*unstructured.Unstructured) error) error {
	text, found := c.files[file]
	if !found {
		text, found = c.files["between/"+file]
	}
	if !found {
		return fmt.Errorf("no file between/%s", file)
	}
	for decoder := k8syaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		u := &unstructured.Unstructured{}
		err := decoder.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.home(u); err != nil {
			return err
		}
		if err := do(u); err != nil {
			return fmt.Errorf("%s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
}

// home puts an object that names no namespace into that of the case, if it
// needs one.
func (c *testCase) home(u *unstructured.Unstructured) error {
	mapping, err := mappingOf(u.GroupVersionKind())
	if err == nil && mapping.Scope.Name() == meta.RESTScopeNameNamespace && u.GetNamespace() == "" {
		u.SetNamespace(c.name)
	}
	return err
}

// kinds are those that the steps and expectations name without their group.
var kinds = map[string]schema.GroupVersionKind{
	"ClusterRoleBinding":       {Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRoleBinding"},
	"ConfigMap":                {Version: "v1", Kind: "ConfigMap"},
	"CronJob":                  {Group: "batch", Version: "v1", Kind: "CronJob"},
	"CustomResourceDefinition": {Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"},
	"Deployment":               {Group: "apps", Version: "v1", Kind: "Deployment"},
	"Job":                      {Group: "batch", Version: "v1", Kind: "Job"},
	"Kustomization":            {Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization"},
	"Namespace":                {Version: "v1", Kind: "Namespace"},
	"Secret":                   {Version: "v1", Kind: "Secret"},
	"Service":                  {Version: "v1", Kind: "Service"},
	"StatefulSet":              {Group: "apps", Version: "v1", Kind: "StatefulSet"},
}

func (c *testCase) resource(ref string) (dynamic.ResourceInterface, string, error) {
	parts := strings.Split(c.full(ref), "/")
	u := &unstructured.Unstructured{}
	gvk, known := kinds[parts[0]]
	if !known {
		return nil, "", fmt.Errorf("the steps do not know the kind %s", parts[0])
	}
	u.SetGroupVersionKind(gvk)
	if len(parts) == 3 {
		u.SetNamespace(parts[1])
	}
	r, err := resourceOf(u)
	return r, parts[len(parts)-1], err
}

func (c *testCase) get(ctx context.Context, ref string) (*unstructured.Unstructured, error) {
	r, name, err := c.resource(ref)
	if err != nil {
		return nil, err
	}
	return r.Get(ctx, name, metav1.GetOptions{})
}

func resourceOf(u *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	mapping, err := mappingOf(u.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return client.Resource(mapping.Resource), nil
	}
	return client.Resource(mapping.Resource).Namespace(u.GetNamespace()), nil
}

// mappingOf says how the cluster serves a kind, which a case may have brought.
func mappingOf(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		mapper.Reset()
		mapping, err = mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	return mapping, err
}
