package execute

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// memory is a cluster in memory for tests of decisions in a synctest bubble. It
// knows identities, order and time; it says nothing of how a server merges,
// defaults or validates.
type memory struct {
	//nolint:containedctx // it ends what the cluster does by itself
	ctx context.Context
	mu  sync.Mutex

	objects   map[string]*unstructured.Unstructured
	watches   map[*memoryWatch]bool
	pods      map[string][]corev1.Pod // by the UID of their Job
	warnings  []corev1.Event
	inventory map[object.Key][]plan.Entry
	created   int

	// requests are all that were made, as "verb Kind/name", in their order.
	requests      []string
	busy, busiest int
	// takes is how long a request lasts.
	takes time.Duration
	// fault says what goes wrong with the nth request of its name; nil for nothing.
	fault func(request string, n int) fault
	// jobs say what becomes of the Jobs by their name, lingers how long a Job's
	// pods take to end when it is deleted.
	jobs    map[string]jobScript
	lingers time.Duration
}

// fault is an answer that is not the server's own.
type fault struct {
	err error
	// after says that the request took effect, and only its answer was lost.
	after bool
	// delay comes before the answer.
	delay time.Duration
}

// jobScript is what becomes of a Job. A zero one runs for a second and completes.
type jobScript struct {
	runs time.Duration
	// end is the condition that it ends with; "never" if it does not end.
	end string
	ttl *time.Duration
}

func newMemory(t *testing.T, live ...*unstructured.Unstructured) *memory {
	t.Helper()
	m := &memory{
		ctx: t.Context(), objects: map[string]*unstructured.Unstructured{}, watches: map[*memoryWatch]bool{}, pods: map[string][]corev1.Pod{},
		inventory: map[object.Key][]plan.Entry{}, jobs: map[string]jobScript{}, takes: time.Millisecond,
	}
	for _, u := range live {
		m.objects[object.RefOf(u).ID()] = u.DeepCopy()
	}
	return m
}

// suffix is what a replacement that is only tried has after its name.
var suffix = regexp.MustCompile(`-fluxjob-\w+$`)

// request does something that takes time and may go wrong.
func (m *memory) request(ctx context.Context, verb string, ref object.Ref, effect func() error) error {
	name := verb + " " + ref.Kind + "/" + suffix.ReplaceAllString(ref.Name, " anew")
	m.mu.Lock()
	m.requests = append(m.requests, name)
	n := m.count(name)
	m.busy++
	m.busiest = max(m.busiest, m.busy)
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.busy--
		m.mu.Unlock()
	}()
	var f fault
	if m.fault != nil {
		f = m.fault(name, n)
	}
	if err := pause(ctx, m.takes); err != nil {
		return err
	}
	if f.err != nil && !f.after {
		return errors.Join(f.err, pause(ctx, f.delay))
	}
	m.mu.Lock()
	err := effect()
	m.mu.Unlock()
	if f.err != nil || f.delay > 0 {
		if ended := pause(ctx, f.delay); ended != nil {
			return ended
		}
		if f.err != nil {
			return f.err
		}
	}
	return err
}

func (m *memory) count(name string) int {
	n := 0
	for _, r := range m.requests {
		if r == name {
			n++
		}
	}
	return n
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func resourceOf(ref object.Ref) schema.GroupResource {
	return schema.GroupResource{Group: ref.Group, Resource: strings.ToLower(ref.Kind) + "s"}
}

// Get returns a live object.
func (m *memory) Get(ctx context.Context, ref object.Ref) (live *unstructured.Unstructured, err error) {
	err = m.request(ctx, "get", ref, func() error {
		if live = m.objects[ref.ID()]; live == nil {
			return apierrors.NewNotFound(resourceOf(ref), ref.Name)
		}
		live = live.DeepCopy()
		return nil
	})
	return live, err
}

// DryRun says what Apply would do.
func (m *memory) DryRun(ctx context.Context, u *unstructured.Unstructured) (now *unstructured.Unstructured, err error) {
	err = m.request(ctx, "dry-run", object.RefOf(u), func() error {
		now, err = m.merged(u)
		return err
	})
	return now, err
}

// Apply creates or changes an object.
func (m *memory) Apply(ctx context.Context, u *unstructured.Unstructured) (now *unstructured.Unstructured, err error) {
	ref := object.RefOf(u)
	err = m.request(ctx, "apply", ref, func() error {
		if now, err = m.merged(u); err != nil {
			return err
		}
		if m.objects[ref.ID()] == nil {
			m.created++
			now.SetUID(types.UID(fmt.Sprintf("uid-%d", m.created)))
			if ref.IsJob() {
				go m.run(ref, string(now.GetUID()), m.jobs[ref.Name])
			}
		}
		m.put(now.DeepCopy())
		return nil
	})
	return now, err
}

// merged is what applying u makes of what is there.
func (m *memory) merged(u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	ref := object.RefOf(u)
	if ref.Kind == "Widget" && m.objects[crdRef.ID()] == nil {
		return nil, &meta.NoKindMatchError{GroupKind: ref.GVK().GroupKind(), SearchedVersions: []string{ref.Version}}
	}
	live := m.objects[ref.ID()]
	now := u.DeepCopy()
	if live == nil {
		now.SetGeneration(1)
		if ref.IsCRD() {
			now.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": "True"}}}
		}
		return now, nil
	}
	if ref.IsJob() && !apiequality.Semantic.DeepEqual(field(live, "spec", "template"), field(u, "spec", "template")) {
		return nil, apierrors.NewInvalid(ref.GVK().GroupKind(), ref.Name, nil)
	}
	now.SetUID(live.GetUID())
	now.SetGeneration(live.GetGeneration())
	if !apiequality.Semantic.DeepEqual(live.Object["spec"], u.Object["spec"]) {
		now.SetGeneration(live.GetGeneration() + 1)
	}
	if status, found := live.Object["status"]; found {
		now.Object["status"] = status
	}
	return now, nil
}

func field(u *unstructured.Unstructured, path ...string) any {
	value, _, _ := unstructured.NestedFieldNoCopy(u.Object, path...)
	return value
}

// TakeOver has nothing to do.
func (*memory) TakeOver(_ context.Context, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return live, nil
}

// Delete deletes an object, a Job in the foreground only when its pods have ended.
func (m *memory) Delete(ctx context.Context, ref object.Ref, uid string, propagation metav1.DeletionPropagation) error {
	return m.request(ctx, "delete", ref, func() error {
		live, err := m.found(ref, uid)
		switch {
		case err != nil || live.GetDeletionTimestamp() != nil:
			return err
		case propagation != metav1.DeletePropagationForeground:
			m.remove(live)
			return nil
		}
		live = live.DeepCopy()
		live.SetDeletionTimestamp(new(metav1.Now()))
		live.SetFinalizers([]string{metav1.FinalizerDeleteDependents})
		m.put(live)
		go func() {
			if pause(m.ctx, m.lingers) == nil {
				m.vanish(ref, string(live.GetUID()))
			}
		}()
		return nil
	})
}

// DryRunDelete says whether Delete would work.
func (m *memory) DryRunDelete(ctx context.Context, ref object.Ref, uid string, _ metav1.DeletionPropagation) error {
	return m.request(ctx, "dry-run delete", ref, func() error {
		_, err := m.found(ref, uid)
		return err
	})
}

func (m *memory) found(ref object.Ref, uid string) (*unstructured.Unstructured, error) {
	live := m.objects[ref.ID()]
	switch {
	case live == nil:
		return nil, apierrors.NewNotFound(resourceOf(ref), ref.Name)
	case string(live.GetUID()) != uid:
		return nil, apierrors.NewConflict(resourceOf(ref), ref.Name, errors.New("the UID in the precondition is another one"))
	}
	return live, nil
}

// SaveInventory keeps the entries.
func (m *memory) SaveInventory(ctx context.Context, key object.Key, inv plan.Inventory) (bool, error) {
	return false, m.request(ctx, "save", object.Ref{Kind: "Inventory", Name: key.Name}, func() error {
		m.inventory[key] = inv.Entries
		return nil
	})
}

// put stores a state of an object and shows it.
func (m *memory) put(u *unstructured.Unstructured) {
	m.objects[object.RefOf(u).ID()] = u
	m.show(cluster.Seen{Object: u})
}

func (m *memory) remove(u *unstructured.Unstructured) {
	delete(m.objects, object.RefOf(u).ID())
	m.show(cluster.Seen{Object: u, Deleted: true})
}

// vanish removes the object if it is still there.
func (m *memory) vanish(ref object.Ref, uid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if live, err := m.found(ref, uid); err == nil {
		m.remove(live)
	}
}

// set changes fields of the object if it is still there and not being deleted.
func (m *memory) set(ref object.Ref, uid string, change func(u *unstructured.Unstructured)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	live, err := m.found(ref, uid)
	if err != nil || live.GetDeletionTimestamp() != nil {
		return false
	}
	live = live.DeepCopy()
	change(live)
	m.put(live)
	return true
}

// run is what the controllers of Jobs and of TTLs do.
func (m *memory) run(ref object.Ref, uid string, script jobScript) {
	if script.runs == 0 {
		script.runs = time.Second
	}
	if script.end == "" {
		script.end = "Complete"
	}
	if pause(m.ctx, 10*time.Millisecond) != nil {
		return
	}
	suspended := false
	alive := m.set(ref, uid, func(u *unstructured.Unstructured) {
		if suspended, _, _ = unstructured.NestedBool(u.Object, "spec", "suspend"); !suspended {
			u.Object["status"] = map[string]any{"startTime": "2026-01-01T00:00:00Z", "active": int64(1)}
		}
	})
	if !alive || suspended || script.end == "never" || pause(m.ctx, script.runs) != nil {
		return
	}
	m.end(ref, uid, script.end)
	if script.ttl != nil && pause(m.ctx, *script.ttl) == nil {
		m.vanish(ref, uid)
	}
}

// end gives a Job the condition that it ends with.
func (m *memory) end(ref object.Ref, uid, condition string) {
	m.set(ref, uid, func(u *unstructured.Unstructured) {
		u.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": condition, "status": "True", "reason": "The" + condition}}}
	})
}

// live returns an object, or nil.
func (m *memory) live(ref object.Ref) *unstructured.Unstructured {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[ref.ID()]
}

// made lists the requests of some verbs, in their order.
func (m *memory) made(verbs ...string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []string
	for _, r := range m.requests {
		if slices.Contains(verbs, r[:strings.LastIndex(strings.TrimSuffix(r, " anew"), " ")]) {
			found = append(found, r)
		}
	}
	return found
}

// memoryWatch shows some objects.
type memoryWatch struct {
	shows func(cluster.Seen) bool
	queue []cluster.Seen
	more  chan struct{}
}

func (m *memory) show(seen cluster.Seen) {
	for w := range m.watches {
		if w.shows(seen) {
			w.add(cluster.Seen{Object: seen.Object.DeepCopy(), Deleted: seen.Deleted})
		}
	}
}

func (w *memoryWatch) add(seen cluster.Seen) {
	w.queue = append(w.queue, seen)
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// watch shows what there is and what becomes of it, without missing anything.
func (m *memory) watch(ctx context.Context, ref object.Ref, shows func(cluster.Seen) bool) (<-chan cluster.Seen, error) {
	w := &memoryWatch{shows: shows, more: make(chan struct{}, 1)}
	out := make(chan cluster.Seen)
	err := m.request(ctx, "watch", ref, func() error {
		for _, id := range slices.Sorted(maps.Keys(m.objects)) {
			if seen := (cluster.Seen{Object: m.objects[id]}); shows(seen) {
				w.add(seen)
			}
		}
		m.watches[w] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			m.mu.Lock()
			queue := w.queue
			w.queue = nil
			m.mu.Unlock()
			for _, seen := range queue {
				select {
				case out <- seen:
				case <-ctx.Done():
					return
				}
			}
			select {
			case <-w.more:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// Watch shows one object.
func (m *memory) Watch(ctx context.Context, ref object.Ref) (<-chan cluster.Seen, error) {
	return m.watch(ctx, ref, func(s cluster.Seen) bool { return object.RefOf(s.Object).ID() == ref.ID() })
}

// WatchPods shows the pods of a Job.
func (m *memory) WatchPods(ctx context.Context, namespace, jobUID string) (<-chan cluster.Seen, error) {
	return m.watch(ctx, object.Ref{Kind: "Pod", Namespace: namespace, Name: jobUID}, func(s cluster.Seen) bool {
		return s.Object.GetKind() == "Pod" && s.Object.GetLabels()["job"] == jobUID
	})
}

// WatchWarnings shows events.
func (m *memory) WatchWarnings(ctx context.Context, namespace string) (<-chan cluster.Seen, error) {
	return m.watch(ctx, object.Ref{Kind: "Event", Namespace: namespace}, func(s cluster.Seen) bool { return s.Object.GetKind() == "Event" })
}

// Refresh has nothing to do.
func (*memory) Refresh() {}

// showPod gives a Job a pod, or another state of one.
func (m *memory) showPod(jobUID string, pod corev1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pods[jobUID] = append(slices.DeleteFunc(m.pods[jobUID], func(p corev1.Pod) bool { return p.Name == pod.Name }), pod)
	pod.Labels = map[string]string{"job": jobUID}
	m.show(cluster.Seen{Object: toUnstructured(&pod, "Pod")})
}

// warn adds an event.
func (m *memory) warn(e corev1.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.warnings = append(m.warnings, e)
	m.show(cluster.Seen{Object: toUnstructured(&e, "Event")})
}

func toUnstructured(typed any, kind string) *unstructured.Unstructured {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		panic(err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetAPIVersion("v1")
	u.SetKind(kind)
	return u
}

// Pods lists the pods of a Job.
func (m *memory) Pods(ctx context.Context, namespace, jobUID string) (pods []corev1.Pod, err error) {
	err = m.request(ctx, "list", object.Ref{Kind: "Pod", Namespace: namespace, Name: jobUID}, func() error {
		pods = slices.Clone(m.pods[jobUID])
		return nil
	})
	return pods, err
}

// Warnings lists the events.
func (m *memory) Warnings(ctx context.Context, namespace string) (events []corev1.Event, err error) {
	err = m.request(ctx, "list", object.Ref{Kind: "Event", Namespace: namespace}, func() error {
		events = slices.Clone(m.warnings)
		return nil
	})
	return events, err
}

// LogTail returns one line.
func (*memory) LogTail(_ context.Context, pod *corev1.Pod, container string, _ int64) (string, error) {
	return fmt.Sprintf("last words of %s/%s\n", pod.Name, container), nil
}

// LogStream returns one line.
func (*memory) LogStream(_ context.Context, _, pod, container string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(fmt.Sprintf("words of %s/%s\n", pod, container))), nil
}
