package cluster

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

const (
	// WatchLifetime is how long a watch goes on until it is opened again at the
	// state that it saw last: nothing is missed, and a connection that has gone
	// silent is not trusted for longer.
	WatchLifetime = 10 * time.Second
	// watchGrace is what the API server may take to end it by itself, and to
	// answer a list.
	watchGrace = 5 * time.Second
)

// Seen is what a watch says of one object.
type Seen struct {
	// Object is the state seen last.
	Object *unstructured.Unstructured
	// Deleted says that the object is gone. Object is then its last state; if
	// the connection was broken, it may have changed once more before its end.
	Deleted bool
	// Err says why nothing more can be seen; Object is nil.
	Err error
}

// Watch reports every state of the object that ref names, from the present one
// on, until ctx ends. When it returns, the watch has begun: nothing that
// happens later is missed, but for states that a broken connection skipped.
func (c *Client) Watch(ctx context.Context, ref object.Ref) (<-chan Seen, error) {
	return c.watch(ctx, ref, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", ref.Name).String()})
}

// WatchPods does the same for the pods of the Job with the UID.
func (c *Client) WatchPods(ctx context.Context, namespace, jobUID string) (<-chan Seen, error) {
	ref := object.Ref{Version: "v1", Kind: "Pod", Namespace: namespace}
	return c.watch(ctx, ref, metav1.ListOptions{LabelSelector: podsOf(jobUID)})
}

// WatchWarnings does the same for the events of type Warning in the namespace.
func (c *Client) WatchWarnings(ctx context.Context, namespace string) (<-chan Seen, error) {
	return c.watch(ctx, object.Ref{Version: "v1", Kind: "Event", Namespace: namespace}, metav1.ListOptions{FieldSelector: warnings})
}

// warnings selects events.
const warnings = "type=" + corev1.EventTypeWarning

// podsOf selects the pods that the Job with the UID controls.
func podsOf(jobUID string) string { return "batch.kubernetes.io/controller-uid=" + jobUID }

func (c *Client) watch(ctx context.Context, ref object.Ref, selection metav1.ListOptions) (<-chan Seen, error) {
	mapping, err := c.Mapping(ref.GVK())
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		ref.Namespace = ""
	}
	informer := cache.NewSharedIndexInformer(
		c.selected(c.dynamic.Resource(mapping.Resource).Namespace(ref.Namespace), selection),
		&unstructured.Unstructured{}, 0, nil)

	refused := make(chan error, 1)
	if err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsMethodNotSupported(err) {
			select {
			case refused <- fmt.Errorf("watch %s: %w", ref, err):
			default:
			}
		}
	}); err != nil {
		return nil, fmt.Errorf("watch %s: %w", ref, err)
	}
	seen := make(chan Seen)
	send := func(s Seen) {
		select {
		case seen <- s:
		case <-ctx.Done():
		}
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { send(Seen{Object: asUnstructured(o)}) },
		UpdateFunc: func(_, o any) { send(Seen{Object: asUnstructured(o)}) },
		DeleteFunc: func(o any) { send(Seen{Object: asUnstructured(o), Deleted: true}) },
	}); err != nil {
		return nil, fmt.Errorf("watch %s: %w", ref, err)
	}
	go informer.RunWithContext(ctx)

	select {
	case err := <-refused:
		return nil, err
	case <-ctx.Done():
		return nil, fmt.Errorf("watch %s: %w", ref, context.Cause(ctx))
	case <-informer.HasSyncedChecker().Done():
	}
	go func() {
		select {
		case err := <-refused:
			send(Seen{Err: err})
		case <-ctx.Done():
		}
	}()
	return seen, nil
}

// selected lists and watches the objects of a resource that selection picks.
func (c *Client) selected(resource dynamic.ResourceInterface, selection metav1.ListOptions) *cache.ListWatch {
	pick := func(opts metav1.ListOptions) metav1.ListOptions {
		opts.FieldSelector, opts.LabelSelector = selection.FieldSelector, selection.LabelSelector
		return opts
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			c.lists.Add(1)
			ctx, cancel := context.WithTimeout(ctx, WatchLifetime+watchGrace)
			defer cancel()
			return resource.List(ctx, pick(opts))
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			opts.TimeoutSeconds = new(int64(WatchLifetime / time.Second))
			ctx, cancel := context.WithTimeout(ctx, WatchLifetime+watchGrace)
			context.AfterFunc(ctx, cancel)
			return resource.Watch(ctx, pick(opts))
		},
	}
}

func asUnstructured(o any) *unstructured.Unstructured {
	if tombstone, gone := o.(cache.DeletedFinalStateUnknown); gone {
		o = tombstone.Obj
	}
	u, isUnstructured := o.(*unstructured.Unstructured)
	if !isUnstructured {
		return &unstructured.Unstructured{}
	}
	return u
}
