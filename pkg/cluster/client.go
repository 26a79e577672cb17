// Package cluster is the only package that talks to an API server.
package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fluxcd/pkg/ssa"
	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/dynamic"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/fluxjob/kubectl-fluxjob/pkg/access"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

const (
	// FieldManager is the name under which kustomize-controller applies, so
	// that what is applied here is later its own.
	FieldManager = "kustomize-controller"
	// reviewsAtOnce is how many rights are asked for side by side.
	reviewsAtOnce = 16
	// ownManager marks writes that are the plugin's alone. A name beginning
	// with "kubectl" would be taken over by the controller.
	ownManager = "fluxjob"
)

// Client is a connection to one cluster. Its methods return the API server's
// own errors, so that apierrors.IsNotFound and its like answer about them.
type Client struct {
	getter  genericclioptions.RESTClientGetter
	config  *rest.Config
	dynamic dynamic.Interface

	mapperOnce sync.Once
	mapper     meta.RESTMapper
	mapperErr  error
	// unserved remembers the kinds that discovery did not find: to ask again
	// means to discover the whole API again. Its values are errors.
	unserved sync.Map

	gets, lists, dryRuns atomic.Int64
}

// New returns a client for the cluster that getter names. It sends no request.
// Requests are not throttled here: the API server's own priority and fairness
// does that.
func New(getter genericclioptions.RESTClientGetter, warnings rest.WarningHandler) (*Client, error) {
	config, err := getter.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = -1, -1
	config.WarningHandler = warnings
	d, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &Client{getter: getter, config: config, dynamic: d}, nil
}

// Requests returns how many requests were sent so far.
func (c *Client) Requests() plan.Requests {
	return plan.Requests{Get: int(c.gets.Load()), List: int(c.lists.Load()), DryRun: int(c.dryRuns.Load())}
}

// Mapping says how the API server serves a kind. A kind that it does not serve
// is answered with an error that meta.IsNoMatchError knows.
func (c *Client) Mapping(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	c.mapperOnce.Do(func() { c.mapper, c.mapperErr = c.getter.ToRESTMapper() })
	if c.mapperErr != nil {
		return nil, fmt.Errorf("discover the API: %w", c.mapperErr)
	}
	if err, known := c.unserved.Load(gvk); known {
		return nil, err.(error)
	}
	var versions []string
	if gvk.Version != "" {
		versions = []string{gvk.Version}
	}
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), versions...)
	if meta.IsNoMatchError(err) {
		c.unserved.Store(gvk, err)
	}
	return mapping, err
}

// Refresh forgets what Mapping has learned, for after a
// CustomResourceDefinition was applied.
func (c *Client) Refresh() {
	if _, err := c.Mapping(schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}); err != nil {
		return
	}
	meta.MaybeResetRESTMapper(c.mapper)
	c.unserved.Clear()
}

func (c *Client) resource(ref object.Ref) (dynamic.ResourceInterface, error) {
	mapping, err := c.Mapping(ref.GVK())
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.dynamic.Resource(mapping.Resource), nil
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(ref.Namespace), nil
}

// Get returns the live object.
func (c *Client) Get(ctx context.Context, ref object.Ref) (*unstructured.Unstructured, error) {
	r, err := c.resource(ref)
	if err != nil {
		return nil, err
	}
	c.gets.Add(1)
	return r.Get(ctx, ref.Name, metav1.GetOptions{})
}

// DryRun returns what applying u would make of the live object, by a
// server-side dry-run with the controller's field manager and forced conflicts.
func (c *Client) DryRun(ctx context.Context, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	c.dryRuns.Add(1)
	return c.apply(ctx, u, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
}

// DryRunMerge returns what a JSON merge patch would make of the live object, by
// a server-side dry-run.
func (c *Client) DryRunMerge(ctx context.Context, ref object.Ref, patch []byte) (*unstructured.Unstructured, error) {
	r, err := c.resource(ref)
	if err != nil {
		return nil, err
	}
	c.dryRuns.Add(1)
	return r.Patch(ctx, ref.Name, types.MergePatchType, patch, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: FieldManager})
}

// Apply applies u as the controller does and returns the object as it is now.
func (c *Client) Apply(ctx context.Context, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return c.apply(ctx, u, metav1.PatchOptions{})
}

func (c *Client) apply(ctx context.Context, u *unstructured.Unstructured, opts metav1.PatchOptions) (*unstructured.Unstructured, error) {
	r, err := c.resource(object.RefOf(u))
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(u.Object)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", object.RefOf(u), err)
	}
	opts.FieldManager, opts.Force = FieldManager, new(true)
	return r.Patch(ctx, u.GetName(), types.ApplyPatchType, data, opts)
}

// TakeOver makes the controller's field manager own what live owes to kubectl
// and to older Flux versions, as the controller does before it applies, and
// returns the object as it is then. It returns live if there is nothing to take
// over.
func (c *Client) TakeOver(ctx context.Context, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	patches, err := takeover(live)
	if err != nil || len(patches) == 0 {
		return live, err
	}
	data, err := json.Marshal(patches)
	if err != nil {
		return nil, fmt.Errorf("encode the ownership patch: %w", err)
	}
	r, err := c.resource(object.RefOf(live))
	if err != nil {
		return nil, err
	}
	return r.Patch(ctx, live.GetName(), types.JSONPatchType, data, metav1.PatchOptions{FieldManager: FieldManager})
}

// TakenOver returns live with the field managers that TakeOver leaves, nil if
// there is nothing to take over. It sends no request.
func TakenOver(live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	patches, err := takeover(live)
	if err != nil || len(patches) == 0 {
		return nil, err
	}
	taken := live.DeepCopy()
	for _, p := range patches {
		if p.Path == "/metadata/managedFields" {
			taken.SetManagedFields(p.Value)
		}
	}
	return taken, nil
}

// takeover returns the patch that TakeOver sends; empty if live owes nothing.
// The managers, annotations and labels are those of kustomize-controller
// v1.9.5 (kustomization_controller.go, apply).
func takeover(live *unstructured.Unstructured) ([]ssa.JSONPatch, error) {
	patches := ssa.PatchRemoveAnnotations(live, []string{
		"kubectl.kubernetes.io/last-applied-configuration",
		"kustomize.toolkit.fluxcd.io/checksum",
		"fluxcd.io/sync-checksum",
	})
	patches = append(patches, ssa.PatchRemoveLabels(live, []string{"fluxcd.io/sync-gc-mark"})...)
	managers, err := ssa.PatchReplaceFieldsManagers(live, []ssa.FieldManager{
		{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationApply},
		{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationUpdate},
		{Name: "before-first-apply", OperationType: metav1.ManagedFieldsOperationUpdate},
		{Name: FieldManager, OperationType: metav1.ManagedFieldsOperationUpdate},
	}, FieldManager)
	if err != nil {
		return nil, fmt.Errorf("merge the field managers of %s: %w", object.RefOf(live), err)
	}
	return append(patches, managers...), nil
}

// Delete deletes the object if its UID is still uid; an empty uid deletes
// whatever bears the name.
func (c *Client) Delete(ctx context.Context, ref object.Ref, uid string, propagation metav1.DeletionPropagation) error {
	return c.delete(ctx, ref, uid, metav1.DeleteOptions{PropagationPolicy: &propagation})
}

// DryRunDelete asks the server whether Delete would succeed.
func (c *Client) DryRunDelete(ctx context.Context, ref object.Ref, uid string, propagation metav1.DeletionPropagation) error {
	c.dryRuns.Add(1)
	return c.delete(ctx, ref, uid, metav1.DeleteOptions{PropagationPolicy: &propagation, DryRun: []string{metav1.DryRunAll}})
}

func (c *Client) delete(ctx context.Context, ref object.Ref, uid string, opts metav1.DeleteOptions) error {
	r, err := c.resource(ref)
	if err != nil {
		return err
	}
	if uid != "" {
		opts.Preconditions = metav1.NewUIDPreconditions(uid)
	}
	return r.Delete(ctx, ref.Name, opts)
}

// Info says which cluster this is. What cannot be read stays empty: it is
// shown, never decided on.
func (c *Client) Info(ctx context.Context) (plan.Cluster, error) {
	info := plan.Cluster{Server: c.config.Host}
	if raw, err := c.getter.ToRawKubeConfigLoader().RawConfig(); err == nil {
		info.Context = raw.CurrentContext
	}
	if flags, ok := c.getter.(*genericclioptions.ConfigFlags); ok && ptr.Deref(flags.Context, "") != "" {
		info.Context = *flags.Context
	}
	discovery, err := c.getter.ToDiscoveryClient()
	if err != nil {
		return info, err
	}
	version, err := discovery.ServerVersion()
	if err != nil {
		return info, err
	}
	info.Version = version.GitVersion
	if ns, err := c.Get(ctx, object.Ref{Version: "v1", Kind: "Namespace", Name: metav1.NamespaceSystem}); err == nil {
		info.UID = string(ns.GetUID())
	}
	return info, nil
}

// WhoAmI returns the name of the user as the API server knows it, or "".
func (c *Client) WhoAmI(ctx context.Context) string {
	client, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return ""
	}
	auth, err := authenticationclient.NewForConfigAndClient(c.config, client)
	if err != nil {
		return ""
	}
	review, err := auth.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return ""
	}
	return review.Status.UserInfo.Username
}

// Served returns how the cluster serves the kind of an object; see
// access.Served.
func (c *Client) Served(ref object.Ref) (plural string, namespaced, served bool) {
	mapping, err := c.Mapping(ref.GVK())
	if err != nil {
		return "", false, false
	}
	return mapping.Resource.Resource, mapping.Scope.Name() == meta.RESTScopeNameNamespace, true
}

// Missing returns those of the rights that the user does not have.
func (c *Client) Missing(ctx context.Context, needs []access.Need) ([]access.Need, error) {
	client, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return nil, err
	}
	auth, err := authorizationclient.NewForConfigAndClient(c.config, client)
	if err != nil {
		return nil, err
	}
	allowed := make([]bool, len(needs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(reviewsAtOnce)
	for i, n := range needs {
		group.Go(func() error {
			resource, subresource, _ := strings.Cut(n.Resource, "/")
			review, err := auth.SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: n.Verb, Group: n.Group, Resource: resource, Subresource: subresource, Namespace: n.Namespace,
				}},
			}, metav1.CreateOptions{})
			if err != nil {
				return fmt.Errorf("ask for the right to %s: %w", n, err)
			}
			allowed[i] = review.Status.Allowed
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var missing []access.Need
	for i, n := range needs {
		if !allowed[i] {
			missing = append(missing, n)
		}
	}
	return missing, nil
}
