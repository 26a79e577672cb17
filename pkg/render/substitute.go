package render

import (
	"context"
	"fmt"
	"slices"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/kustomize"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/resmap"

	"github.com/fluxjob/kubectl-fluxjob/pkg/manifest"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

// Vars reads what spec.postBuild.substituteFrom names.
type Vars interface {
	// Data returns the decoded data of a ConfigMap or Secret. An absent one is
	// a NotFound API error.
	Data(ctx context.Context, kind string, key object.Key) (map[string]string, error)
}

// substitute replaces the variables in resources, strictly, as the controller
// does since Flux 2.9, and returns the values that came from Secrets.
func (r *Renderer) substitute(ctx context.Context, k *manifest.Kustomization, resources resmap.ResMap) ([]string, error) {
	post := k.Spec.PostBuild
	if post == nil {
		return nil, nil
	}
	vars, secrets, err := r.variables(ctx, k)
	if err != nil {
		return nil, err
	}
	// The values are handed over as inline ones, which beat all others, so that
	// each ConfigMap and Secret is read once and not once an object.
	withVars := unstructured.Unstructured{Object: map[string]any{}}
	if len(vars) > 0 {
		if err := unstructured.SetNestedStringMap(withVars.Object, vars, "spec", "postBuild", "substitute"); err != nil {
			return nil, fmt.Errorf("prepare the substitution: %w", err)
		}
	}
	always := post.SubstituteStrategy == kustomizev1.SubstituteStrategyAlways
	for _, res := range resources.Resources() {
		replaced, err := kustomize.SubstituteVariables(ctx, nil, withVars, res,
			kustomize.SubstituteWithDryRun(true), kustomize.SubstituteWithStrict(true), kustomize.SubstituteWithAlways(always))
		if err != nil {
			return secrets, fmt.Errorf("post build failed for '%s': %w", res.GetGvk().String()+"/"+res.GetName(), err)
		}
		if replaced == nil {
			continue
		}
		if _, err := resources.Replace(replaced); err != nil {
			return secrets, fmt.Errorf("post build failed for '%s': %w", res.GetName(), err)
		}
	}
	return secrets, nil
}

// variables merges what substituteFrom names, in order, under what substitute
// says, and drops line ends, as the controller does.
func (r *Renderer) variables(ctx context.Context, k *manifest.Kustomization) (vars map[string]string, secrets []string, err error) {
	vars = map[string]string{}
	for _, ref := range k.Spec.PostBuild.SubstituteFrom {
		data, err := r.Vars.Data(ctx, ref.Kind, object.Key{Namespace: k.Namespace, Name: ref.Name})
		if apierrors.IsNotFound(err) && ref.Optional {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("substitute from '%s/%s': %w", ref.Kind, ref.Name, err)
		}
		for name, value := range data {
			vars[name] = strings.ReplaceAll(value, "\n", "")
			if ref.Kind == "Secret" {
				secrets = append(secrets, vars[name])
			}
		}
	}
	for name, value := range k.Spec.PostBuild.Substitute {
		vars[name] = strings.ReplaceAll(value, "\n", "")
	}
	secrets = slices.DeleteFunc(secrets, func(s string) bool { return s == "" })
	slices.Sort(secrets)
	return vars, slices.Compact(secrets), nil
}
