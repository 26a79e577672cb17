package node

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// reasonDeadline is the reason of a pod that ran longer than it may.
const reasonDeadline = "DeadlineExceeded"

// podWorker looks after one pod from its binding to its removal.
type podWorker struct {
	node    *Node
	workDir string
	logDir  string

	changed chan struct{} // a newer version of the pod is there
	dirty   chan struct{} // the status must be written
	gone    chan struct{} // the pod is no longer in the API

	// stop ends the containers politely, kill at once.
	stopCtx, killCtx context.Context
	stop, kill       context.CancelFunc
	killTimer        *time.Timer
	killAt           time.Time

	writing sync.Mutex // held while a status is written
	written *corev1.PodStatus

	mu          sync.Mutex
	pod         *corev1.Pod
	goneOnce    sync.Once
	records     []*containerRecord
	ended       bool
	initialized bool
	reason      string
	message     string
}

func newPodWorker(ctx context.Context, n *Node, pod *corev1.Pod) *podWorker {
	w := &podWorker{
		node:    n,
		workDir: filepath.Join(n.cfg.WorkDir, string(pod.UID)),
		logDir:  filepath.Join(n.cfg.LogDir, pod.Namespace+"_"+pod.Name+"_"+string(pod.UID)),
		changed: make(chan struct{}, 1),
		dirty:   make(chan struct{}, 1),
		gone:    make(chan struct{}),
		pod:     pod,
		written: pod.Status.DeepCopy(),
		records: newRecords(pod),
	}
	// The containers outlive ctx for the time they need to end: the loop below
	// turns its end into stop and kill.
	base := context.WithoutCancel(ctx)
	w.stopCtx, w.stop = context.WithCancel(base)
	w.killCtx, w.kill = context.WithCancel(base)
	return w
}

// update hands the worker a newer version of its pod.
func (w *podWorker) update(pod *corev1.Pod) {
	w.mu.Lock()
	w.pod = pod
	w.mu.Unlock()
	notify(w.changed)
}

// removed tells the worker that the pod is gone from the API.
func (w *podWorker) removed() {
	w.goneOnce.Do(func() { close(w.gone) })
}

func (w *podWorker) current() *corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pod
}

// set changes the worker's knowledge and has the status written.
func (w *podWorker) set(change func()) {
	w.mu.Lock()
	change()
	w.mu.Unlock()
	notify(w.dirty)
}

// run returns when the pod is gone from the API, or when ctx is done and all its
// processes have ended.
func (w *podWorker) run(ctx context.Context) {
	defer w.kill()
	defer w.stop()
	finished := make(chan struct{})
	if podutil.IsPodTerminal(w.current()) {
		close(finished)
	} else {
		notify(w.dirty)
		statusCtx, stopStatus := context.WithCancel(ctx)
		defer stopStatus()
		go w.writeStatuses(statusCtx)
		go func() { //nolint:contextcheck // a pod ends by kill, which also ends what outlives ctx
			defer close(finished)
			w.execute()
		}()
	}
	w.supervise(ctx, finished)
	w.cleanUp()
}

// supervise turns events of the pod into stop and kill.
func (w *podWorker) supervise(ctx context.Context, finished <-chan struct{}) {
	deadline, stopDeadline := w.deadline()
	defer stopDeadline()
	nodeDone, gone := ctx.Done(), (<-chan struct{})(w.gone)
	notify(w.changed)
	for {
		select {
		case <-w.changed:
			if pod := w.current(); pod.DeletionTimestamp != nil {
				w.terminate(gracePeriod(pod))
			}
		case <-deadline:
			w.fail(reasonDeadline, "Pod was active on the node longer than the specified deadline")
		case <-gone:
			gone = nil
			w.terminate(0)
		case <-nodeDone:
			nodeDone = nil
			w.terminate(stopGrace)
		case <-finished:
			w.finish(ctx)
			return
		}
	}
}

// finish writes the last status and sees the pod off: it returns when the pod
// is gone from the API.
func (w *podWorker) finish(ctx context.Context) {
	if !podutil.IsPodTerminal(w.current()) {
		w.flush(ctx)
	}
	for {
		if w.current().DeletionTimestamp != nil {
			w.deleteObject(ctx)
		}
		select {
		case <-w.changed:
		case <-w.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

// fail stops the pod and gives it a reason of the node's own.
func (w *podWorker) fail(reason, message string) {
	w.set(func() { w.reason, w.message = reason, message })
	w.node.event(w.current(), corev1.EventTypeWarning, reason, message)
	w.terminate(gracePeriod(w.current()))
}

// terminate asks all containers to end and kills them after the grace period. A
// later call can only shorten it. It is called by supervise's goroutine alone.
func (w *podWorker) terminate(grace time.Duration) {
	at := time.Now().Add(grace)
	switch {
	case w.killTimer == nil:
		w.killAt, w.killTimer = at, time.AfterFunc(grace, w.kill)
	case at.Before(w.killAt):
		w.killAt = at
		w.killTimer.Reset(grace)
	}
	w.stop()
}

// deadline returns a channel that fires when activeDeadlineSeconds are over.
func (w *podWorker) deadline() (<-chan time.Time, func()) {
	seconds := w.current().Spec.ActiveDeadlineSeconds
	if seconds == nil {
		return nil, func() {}
	}
	timer := time.NewTimer(time.Duration(*seconds) * time.Second)
	return timer.C, func() { timer.Stop() }
}

// view is a consistent copy of what the status depends on.
func (w *podWorker) view() podView {
	return podView{
		spec: &w.pod.Spec, records: w.records, ended: w.ended,
		initialized: w.initialized, reason: w.reason, message: w.message,
	}
}

// status computes the status that should stand in the API.
func (w *podWorker) status(old *corev1.PodStatus) *corev1.PodStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.view().status(w.pod.Generation, old, metav1.Now())
}

// gracePeriod is how long the pod's containers may take to end.
func gracePeriod(pod *corev1.Pod) time.Duration {
	seconds := pod.DeletionGracePeriodSeconds
	if seconds == nil {
		seconds = pod.Spec.TerminationGracePeriodSeconds
	}
	if seconds == nil {
		return corev1.DefaultTerminationGracePeriodSeconds * time.Second
	}
	return time.Duration(*seconds) * time.Second
}

// notify wakes up the reader of a channel with room for one value.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
