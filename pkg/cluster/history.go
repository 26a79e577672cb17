package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

const (
	// historyName is the ConfigMap that holds the last runs of a namespace's
	// Kustomizations, each under its ID.
	historyName = "fluxjob-history"
	// historyLength is how many runs of a namespace are kept, and historySize
	// how many bytes they may have: a ConfigMap holds a mebibyte.
	historyLength = 20
	historySize   = 512 << 10
	// clocksDiffer bounds by how much the clocks of two machines may differ.
	clocksDiffer = 2 * time.Minute
)

func historyRef(namespace string) object.Ref {
	return object.Ref{Version: "v1", Kind: "ConfigMap", Namespace: namespace, Name: historyName}
}

// History returns the last runs of the namespace's Kustomizations, the latest
// first.
func (c *Client) History(ctx context.Context, namespace string) ([]report.Run, error) {
	u, err := c.Get(ctx, historyRef(namespace))
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the history of namespace %s: %w", namespace, err)
	}
	return runsOf(u)
}

// Histories returns the last runs of all namespaces, the latest first.
func (c *Client) Histories(ctx context.Context) ([]report.Run, error) {
	r, err := c.resource(historyRef(metav1.NamespaceAll))
	if err != nil {
		return nil, err
	}
	c.lists.Add(1)
	list, err := r.List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", historyName).String()})
	if err != nil {
		return nil, fmt.Errorf("read the histories: %w", err)
	}
	var all []report.Run
	for i := range list.Items {
		runs, err := runsOf(&list.Items[i])
		if err != nil {
			return nil, err
		}
		all = append(all, runs...)
	}
	latestFirst(all)
	return all, nil
}

func runsOf(u *unstructured.Unstructured) ([]report.Run, error) {
	data, _, err := unstructured.NestedStringMap(u.Object, "data")
	if err != nil {
		return nil, fmt.Errorf("read ConfigMap %s/%s: %w", u.GetNamespace(), u.GetName(), err)
	}
	var runs []report.Run
	for id, text := range data {
		var run report.Run
		if err := json.Unmarshal([]byte(text), &run); err != nil {
			return nil, fmt.Errorf("read ConfigMap %s/%s: run %s: %w", u.GetNamespace(), u.GetName(), id, err)
		}
		runs = append(runs, run)
	}
	latestFirst(runs)
	return runs, nil
}

func latestFirst(runs []report.Run) {
	slices.SortStableFunc(runs, func(a, b report.Run) int { return b.Started.Compare(a.Started) })
}

// SaveRun records the run in the namespace beside those before it, the latest
// first, of which the oldest go.
func (c *Client) SaveRun(ctx context.Context, namespace string, run report.Run, before []report.Run) error {
	r, err := c.resource(historyRef(namespace))
	if err != nil {
		return err
	}
	text, err := json.Marshal(run)
	if err != nil {
		return err
	}
	data := map[string]any{run.ID: string(text)}
	size := len(text)
	for i := range before {
		old, err := json.Marshal(before[i])
		if err != nil {
			return err
		}
		if size += len(old); i >= historyLength-1 || size > historySize {
			data[before[i].ID] = nil
		}
	}
	patch, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return err
	}
	_, err = r.Patch(ctx, historyName, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: ownManager})
	if apierrors.IsNotFound(err) {
		record := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{
				"namespace": namespace, "name": historyName,
				"labels": map[string]any{"app.kubernetes.io/managed-by": ownManager},
			},
			"data": map[string]any{run.ID: string(text)},
		}}
		_, err = r.Create(ctx, record, metav1.CreateOptions{FieldManager: ownManager})
	}
	if err != nil {
		return fmt.Errorf("record the run in ConfigMap %s/%s: %w", namespace, historyName, err)
	}
	return nil
}

// JobBegan returns the UID of the Job of that name that began after since and is
// not the one with the UID before, or "" if there was none. The Job may be gone:
// its events stay for a while.
func (c *Client) JobBegan(ctx context.Context, job object.Ref, since time.Time, before string) (string, error) {
	core, err := c.core()
	if err != nil {
		return "", err
	}
	c.lists.Add(1)
	selector := fields.Set{"involvedObject.kind": "Job", "involvedObject.name": job.Name}
	events, err := core.Events(job.Namespace).List(ctx, metav1.ListOptions{FieldSelector: selector.String()})
	if err != nil {
		return "", fmt.Errorf("list the events of %s: %w", job, err)
	}
	for i := range events.Items {
		e := &events.Items[i]
		if uid := string(e.InvolvedObject.UID); uid != before && !happened(e).Before(since.Add(-clocksDiffer)) {
			return uid, nil
		}
	}
	return "", nil
}

// happened returns when the event was first seen.
func happened(e *corev1.Event) time.Time {
	if !e.FirstTimestamp.IsZero() {
		return e.FirstTimestamp.Time
	}
	return e.EventTime.Time
}
