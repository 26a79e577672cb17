package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

const (
	// lockName is the Lease that stands for all Kustomizations of a namespace.
	lockName = "fluxjob-lock"
	// holderAnnotation says in words who holds it.
	holderAnnotation = "fluxjob.dev/holder"

	// lockDuration is how long a lock outlives its last renewal, and
	// lockRenewal how often it is renewed.
	lockDuration = 12 * time.Second
	lockRenewal  = 3 * time.Second
)

// Holder is who holds a lock.
type Holder struct {
	// Who is the user as the API server knows them, Where the machine and the
	// process.
	Who   string    `json:"who"`
	Where string    `json:"where"`
	Since time.Time `json:"since"`
	// Plan is the digest of the plan that is run, once it is known.
	Plan string `json:"plan,omitempty"`
}

// String says it for a message.
func (h Holder) String() string {
	text := fmt.Sprintf("%s on %s, since %s", cmp.Or(h.Who, "somebody"), cmp.Or(h.Where, "an unknown machine"), h.Since.UTC().Format(time.RFC3339))
	if h.Plan != "" {
		text += ", for plan " + h.Plan
	}
	return text
}

// LockedError says that somebody else holds the lock of a namespace.
type LockedError struct {
	Namespace string
	Holder    Holder
}

// Error implements error.
func (e *LockedError) Error() string {
	return fmt.Sprintf("the Kustomizations of namespace %s are locked by %s", e.Namespace, e.Holder)
}

// Lock keeps others from applying Kustomizations of the same namespaces at the
// same time: a Lease for each, renewed while it is held. It has expired for who
// saw that it was not renewed for as long as it lasts; no clocks are compared.
type Lock struct {
	client   *Client
	identity string

	mu     sync.Mutex
	holder Holder
	held   map[string]*coordinationv1.Lease
	// created are the namespaces that were made for a lock.
	created []string

	lost context.CancelCauseFunc
	stop chan struct{}
	done sync.WaitGroup
}

// NewLock returns a lock of nothing, and a context that ends, with the cause,
// when something that is held is lost. Release has to be called in the end.
func (c *Client) NewLock(ctx context.Context, holder Holder) (*Lock, context.Context) {
	holder.Since = time.Now()
	l := &Lock{client: c, identity: string(uuid.NewUUID()), holder: holder, held: map[string]*coordinationv1.Lease{}, stop: make(chan struct{})}
	ctx, l.lost = context.WithCancelCause(ctx)
	l.done.Go(func() { l.keep(ctx) })
	return l, ctx
}

// For says which plan the lock is held for.
func (l *Lock) For(plan string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holder.Plan = plan
}

// Acquire locks the namespaces that are not held yet, and says whether there
// were any. A namespace that does not exist is created if create says so and
// else passed over. A lock of somebody else is taken over when it has expired,
// which takes its whole duration to see. One that is renewed meanwhile is waited
// for until timeout: then a LockedError says who has it.
func (l *Lock) Acquire(ctx context.Context, namespaces []string, create bool, timeout time.Duration) (more bool, err error) {
	deadline := time.Now().Add(timeout)
	for _, namespace := range slices.Compact(slices.Sorted(slices.Values(namespaces))) {
		if l.lease(namespace) != nil {
			continue
		}
		lease, err := l.acquire(ctx, namespace, create, deadline)
		if err != nil {
			return more, lockError(namespace, err)
		}
		if lease != nil {
			more = true
			l.hold(namespace, lease)
		}
	}
	return more, nil
}

// Created returns the namespaces that Acquire has created.
func (l *Lock) Created() []string { return l.created }

func (l *Lock) lease(namespace string) *coordinationv1.Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[namespace]
}

func (l *Lock) hold(namespace string, lease *coordinationv1.Lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[namespace] = lease
}

// acquire returns the Lease of the namespace when it is ours, or nil if there is
// no such namespace.
func (l *Lock) acquire(ctx context.Context, namespace string, create bool, deadline time.Time) (*coordinationv1.Lease, error) {
	leases, err := l.client.leases(namespace)
	if err != nil {
		return nil, err
	}
	var seen *coordinationv1.Lease // as it was last renewed
	var since time.Time
	for {
		lease, err := leases.Create(ctx, l.fill(nil), metav1.CreateOptions{FieldManager: ownManager})
		switch {
		case err == nil:
			return lease, nil
		case apierrors.IsNotFound(err) && !create:
			return nil, nil
		case apierrors.IsNotFound(err):
			if err := l.client.createNamespace(ctx, namespace); err != nil {
				return nil, err
			}
			l.created = append(l.created, namespace)
			continue
		case !apierrors.IsAlreadyExists(err):
			return nil, err
		}
		lease, err = leases.Get(ctx, lockName, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return nil, err
		case l.owns(lease): // The answer to its creation was lost.
			return lease, nil
		case seen == nil:
			seen, since = lease, time.Now()
		case seen.ResourceVersion != lease.ResourceVersion:
			if time.Now().After(deadline) {
				return nil, &LockedError{Namespace: namespace, Holder: holderOf(lease)}
			}
			seen, since = lease, time.Now()
		case time.Since(since) > lockDuration:
			lease, err = leases.Update(ctx, l.fill(lease), metav1.UpdateOptions{FieldManager: ownManager})
			if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				return lease, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockRenewal / 6):
		}
	}
}

func (l *Lock) owns(lease *coordinationv1.Lease) bool {
	return ptr.Deref(lease.Spec.HolderIdentity, "") == l.identity
}

func lockError(namespace string, err error) error {
	if locked := (*LockedError)(nil); err == nil || errors.As(err, &locked) {
		return err
	}
	return fmt.Errorf("lock the Kustomizations of namespace %s: %w", namespace, err)
}

// fill returns the Lease, nil for a new one, as ours from now on.
func (l *Lock) fill(lease *coordinationv1.Lease) *coordinationv1.Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lease == nil {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: lockName}}
	}
	lease = lease.DeepCopy()
	holder, _ := json.Marshal(l.holder)
	metav1.SetMetaDataAnnotation(&lease.ObjectMeta, holderAnnotation, string(holder))
	lease.Spec = coordinationv1.LeaseSpec{
		HolderIdentity:       &l.identity,
		LeaseDurationSeconds: ptr.To(int32(lockDuration / time.Second)),
		AcquireTime:          &metav1.MicroTime{Time: l.holder.Since},
		RenewTime:            &metav1.MicroTime{Time: time.Now()},
	}
	return lease
}

// keep renews what is held until stop is closed.
func (l *Lock) keep(ctx context.Context) {
	tick := time.NewTicker(lockRenewal)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		l.mu.Lock()
		held := maps.Clone(l.held)
		l.mu.Unlock()
		var renewing sync.WaitGroup
		for namespace, lease := range held {
			renewing.Go(func() {
				err := l.renew(context.WithoutCancel(ctx), namespace, lease)
				if errors.Is(err, errLost) || err != nil && time.Now().After(lease.Spec.RenewTime.Add(lockDuration)) {
					l.lost(fmt.Errorf("%w: namespace %s: %w", ErrLockLost, namespace, err))
				}
			})
		}
		renewing.Wait()
	}
}

// ErrLockLost is the cause with which the context of a lock ends.
var ErrLockLost = errors.New("the lock was lost")

// errLost says that a lock is not ours any more.
var errLost = errors.New("somebody released it or took it over")

func (l *Lock) renew(ctx context.Context, namespace string, lease *coordinationv1.Lease) error {
	ctx, cancel := context.WithTimeout(ctx, lockRenewal)
	defer cancel()
	leases, err := l.client.leases(namespace)
	if err != nil {
		return err
	}
	renewed, err := leases.Update(ctx, l.fill(lease), metav1.UpdateOptions{FieldManager: ownManager})
	if apierrors.IsConflict(err) { // The answer to the last renewal may have been lost.
		if renewed, err = leases.Get(ctx, lockName, metav1.GetOptions{}); err == nil && !l.owns(renewed) {
			return errLost
		}
	}
	switch {
	case apierrors.IsNotFound(err):
		return errLost
	case err != nil:
		return err
	}
	l.hold(namespace, renewed)
	return nil
}

// Release gives back all that is held. What cannot be deleted expires.
func (l *Lock) Release(ctx context.Context) {
	close(l.stop)
	l.done.Wait()
	l.lost(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockRenewal)
	defer cancel()
	for namespace, lease := range l.held {
		if leases, err := l.client.leases(namespace); err == nil {
			_ = leases.Delete(ctx, lockName, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion}})
		}
	}
}

// Locks returns who holds the locks of the namespaces, of all if there is none
// among them.
func (c *Client) Locks(ctx context.Context, namespaces ...string) (map[string]Holder, error) {
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	holders := map[string]Holder{}
	for _, namespace := range namespaces {
		leases, err := c.leases(namespace)
		if err != nil {
			return nil, err
		}
		list, err := leases.List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", lockName).String()})
		if err != nil {
			return nil, fmt.Errorf("find the locks: %w", err)
		}
		for i := range list.Items {
			holders[list.Items[i].Namespace] = holderOf(&list.Items[i])
		}
	}
	return holders, nil
}

// Unlock releases the lock of the namespace, whoever holds it.
func (c *Client) Unlock(ctx context.Context, namespace string) error {
	leases, err := c.leases(namespace)
	if err != nil {
		return err
	}
	if err := leases.Delete(ctx, lockName, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("release the lock of namespace %s: %w", namespace, err)
	}
	return nil
}

func holderOf(lease *coordinationv1.Lease) Holder {
	var h Holder
	_ = json.Unmarshal([]byte(lease.Annotations[holderAnnotation]), &h)
	return h
}

func (c *Client) leases(namespace string) (coordinationclient.LeaseInterface, error) {
	client, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return nil, err
	}
	coordination, err := coordinationclient.NewForConfigAndClient(c.config, client)
	if err != nil {
		return nil, err
	}
	return coordination.Leases(namespace), nil
}

// createNamespace makes a namespace that a record of the plugin's needs.
func (c *Client) createNamespace(ctx context.Context, name string) error {
	return c.put(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name},
	}})
}
