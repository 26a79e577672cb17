package node

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// sidecar is a running init container with restartPolicy Always.
type sidecar struct {
	stop context.CancelFunc
	done chan struct{}
}

// execute runs the pod's containers to their end.
func (w *podWorker) execute() {
	defer w.set(w.markEnded)
	if err := w.makeFolders(); err != nil {
		w.set(func() { w.reason, w.message = "NodeError", err.Error() })
		return
	}
	sidecars, ok := w.runInit()
	if ok {
		w.set(w.markInitialized)
		w.runMain()
	}
	w.stopSidecars(sidecars)
}

func (w *podWorker) makeFolders() error {
	for _, dir := range []string{w.rootDir(), w.terminationDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the pod's folder: %w", err)
		}
	}
	return nil
}

// cleanUp removes the pod's working folder; its logs stay.
func (w *podWorker) cleanUp() {
	if err := os.RemoveAll(w.workDir); err != nil {
		w.node.log.Warn("could not remove a pod's folder", "folder", w.workDir, "error", err)
	}
}

// runInit runs the init containers in order. A sidecar keeps running; the next
// container starts when its process has started.
func (w *podWorker) runInit() ([]sidecar, bool) {
	var sidecars []sidecar
	for _, r := range w.records {
		switch {
		case !r.init:
			continue
		case r.sidecar:
			s, ok := w.startSidecar(r)
			sidecars = append(sidecars, s)
			if !ok {
				return sidecars, false
			}
		case !w.runContainer(w.stopCtx, r, nil):
			return sidecars, false
		}
	}
	return sidecars, w.stopCtx.Err() == nil
}

func (w *podWorker) startSidecar(r *containerRecord) (sidecar, bool) {
	ctx, stop := context.WithCancel(w.killCtx)
	s := sidecar{stop: stop, done: make(chan struct{})}
	started := make(chan struct{}, 1)
	go func() {
		defer close(s.done)
		w.runContainer(ctx, r, func() { notify(started) })
	}()
	select {
	case <-started:
		return s, true
	case <-s.done:
		return s, false
	case <-w.stopCtx.Done():
		return s, false
	}
}

// runMain runs all main containers side by side until none is to be restarted.
func (w *podWorker) runMain() {
	ended := make(chan struct{})
	count := 0
	for _, r := range w.records {
		if r.init {
			continue
		}
		count++
		go func() {
			w.runContainer(w.stopCtx, r, nil)
			ended <- struct{}{}
		}()
	}
	for range count {
		<-ended
	}
}

// stopSidecars ends the sidecars in reverse order, with the pod's grace period.
func (w *podWorker) stopSidecars(sidecars []sidecar) {
	if len(sidecars) == 0 {
		return
	}
	timer := time.AfterFunc(gracePeriod(w.current()), w.kill)
	defer timer.Stop()
	for _, s := range slices.Backward(sidecars) {
		s.stop()
		<-s.done
	}
}

func (w *podWorker) markInitialized() {
	w.initialized = true
	for _, r := range w.records {
		if !r.init {
			r.wait("ContainerCreating", "")
		}
	}
}

// markEnded notes that nothing of the pod runs any more. When the pod was
// stopped, containers that never ran get an end too.
func (w *podWorker) markEnded() {
	w.ended = true
	for _, r := range w.records {
		switch {
		case r.state.Waiting != nil && r.last.Terminated != nil:
			r.state, r.last = r.last, corev1.ContainerState{}
		case r.state.Waiting != nil && w.stopCtx.Err() != nil:
			r.lost()
		}
	}
}
