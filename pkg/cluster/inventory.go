package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// KustomizationRef names the live Flux object, in the version that
// every Flux since 2.0 serves.
func KustomizationRef(key object.Key) object.Ref {
	return object.Ref{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization", Namespace: key.Namespace, Name: key.Name}
}

// inventoryRef names the ConfigMap that holds the inventory of a Kustomization
// that does not live in the cluster.
func inventoryRef(key object.Key) object.Ref {
	return object.Ref{Version: "v1", Kind: "ConfigMap", Namespace: key.Namespace, Name: "fluxjob-inventory-" + key.Name}
}

// The keys of the ConfigMap's data.
const (
	inventoryEntries = "entries"
	inventoryPolicy  = "deletionPolicy"
)

// Inventory returns what was applied before for the Kustomization: the status
// of the live Flux object or, where there is none, the plugin's own record.
func (c *Client) Inventory(ctx context.Context, key object.Key) (plan.Inventory, error) {
	live, err := c.Get(ctx, KustomizationRef(key))
	switch {
	case err == nil:
		return fluxInventory(live)
	case !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err):
		return plan.Inventory{}, fmt.Errorf("read the live Kustomization %s: %w", key, err)
	}
	inv := plan.Inventory{Kept: plan.KeptByPlugin}
	record, err := c.Get(ctx, inventoryRef(key))
	switch {
	case apierrors.IsNotFound(err):
		return inv, nil
	case err != nil:
		return inv, fmt.Errorf("read the inventory of %s: %w", key, err)
	}
	inv.DeletionPolicy, _, _ = unstructured.NestedString(record.Object, "data", inventoryPolicy)
	data, _, err := unstructured.NestedString(record.Object, "data", inventoryEntries)
	if err == nil {
		err = json.Unmarshal([]byte(data), &inv.Entries)
	}
	if err != nil {
		return inv, fmt.Errorf("read the inventory of %s: ConfigMap %s: %w", key, record.GetName(), err)
	}
	return inv, nil
}

func fluxInventory(live *unstructured.Unstructured) (plan.Inventory, error) {
	suspended, _, _ := unstructured.NestedBool(live.Object, "spec", "suspend")
	policy, _, _ := unstructured.NestedString(live.Object, "spec", "deletionPolicy")
	prune, _, _ := unstructured.NestedBool(live.Object, "spec", "prune")
	inv := plan.Inventory{Kept: plan.KeptByFlux, Reconciled: !suspended, DeletionPolicy: plan.DeletionPolicyOf(policy, prune)}
	entries, _, err := unstructured.NestedSlice(live.Object, "status", "inventory", "entries")
	if err != nil {
		return inv, fmt.Errorf("read the inventory of Kustomization %s/%s: %w", live.GetNamespace(), live.GetName(), err)
	}
	for _, e := range entries {
		m, _ := e.(map[string]any)
		id, _, _ := unstructured.NestedString(m, "id")
		version, _, _ := unstructured.NestedString(m, "v")
		inv.Entries = append(inv.Entries, plan.Entry{ID: id, Version: version})
	}
	return inv, nil
}

// SaveInventory records what is applied for a Kustomization that does not live
// in the cluster, and what becomes of it with the Kustomization. It creates the
// namespace if there is none, and then says so. A record of nothing is deleted.
func (c *Client) SaveInventory(ctx context.Context, key object.Key, inv plan.Inventory) (createdNamespace bool, err error) {
	if len(inv.Entries) == 0 {
		if err := c.Delete(ctx, inventoryRef(key), "", metav1.DeletePropagationBackground); err != nil && !apierrors.IsNotFound(err) {
			return false, fmt.Errorf("delete the inventory of %s: %w", key, err)
		}
		return false, nil
	}
	data, err := json.Marshal(inv.Entries)
	if err != nil {
		return false, fmt.Errorf("encode the inventory of %s: %w", key, err)
	}
	record := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{
			"namespace": key.Namespace, "name": inventoryRef(key).Name,
			"labels": map[string]any{"app.kubernetes.io/managed-by": ownManager},
		},
		"data": map[string]any{inventoryEntries: string(data), inventoryPolicy: inv.DeletionPolicy},
	}}
	err = c.put(ctx, record)
	if apierrors.IsNotFound(err) {
		if err = c.createNamespace(ctx, key.Namespace); err == nil {
			createdNamespace = true
			err = c.put(ctx, record)
		}
	}
	if err != nil {
		return createdNamespace, fmt.Errorf("save the inventory of %s: %w", key, err)
	}
	return createdNamespace, nil
}

// put applies an object of the plugin's own.
func (c *Client) put(ctx context.Context, u *unstructured.Unstructured) error {
	r, err := c.resource(object.RefOf(u))
	if err != nil {
		return err
	}
	data, err := json.Marshal(u.Object)
	if err != nil {
		return err
	}
	_, err = r.Patch(ctx, u.GetName(), types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: ownManager, Force: new(true)})
	return err
}

// Data returns the decoded data of a ConfigMap or Secret, for substitution.
func (c *Client) Data(ctx context.Context, kind string, key object.Key) (map[string]string, error) {
	u, err := c.Get(ctx, object.Ref{Version: "v1", Kind: kind, Namespace: key.Namespace, Name: key.Name})
	if err != nil {
		return nil, err
	}
	data, _, err := unstructured.NestedStringMap(u.Object, "data")
	if err != nil || kind != "Secret" {
		return data, err
	}
	for name, value := range data {
		plain, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return nil, fmt.Errorf("key %s of Secret %s is not base64", name, key)
		}
		data[name] = string(plain)
	}
	return data, nil
}
