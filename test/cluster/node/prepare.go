package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Waiting reasons of a kubelet.
const (
	reasonPull        = "ErrImagePull"
	reasonPullBackOff = "ImagePullBackOff"
	reasonConfig      = "CreateContainerConfigError"
)

// preparePeriod is the pause before something that is missing is looked for
// again: a referenced object, or another image.
const preparePeriod = 500 * time.Millisecond

// missingImage is how the name of an image ends that cannot be pulled.
const missingImage = ":missing"

// awaitImage returns when the container's image can be had, or false when ctx is
// done. An image can be replaced in a pod that exists.
func (w *podWorker) awaitImage(ctx context.Context, r *containerRecord) bool {
	for first := true; ; first = false {
		w.set(func() { r.spec.Image = w.imageOf(r.spec.Name, r.spec.Image) })
		image := r.spec.Image
		if !strings.HasSuffix(image, missingImage) {
			return ctx.Err() == nil
		}
		reason, message := reasonPullBackOff, fmt.Sprintf("Back-off pulling image %q", image)
		if first {
			reason, message = reasonPull, fmt.Sprintf("failed to pull image %q: not found", image)
			w.node.event(w.current(), corev1.EventTypeWarning, "Failed", message)
		}
		w.set(func() { r.wait(reason, message) })
		if !pauseFor(ctx, preparePeriod) {
			return false
		}
	}
}

// imageOf finds a container's image in the pod as it is now.
func (w *podWorker) imageOf(name, otherwise string) string {
	for _, list := range [][]corev1.Container{w.pod.Spec.InitContainers, w.pod.Spec.Containers} {
		for _, c := range list {
			if c.Name == name {
				return c.Image
			}
		}
	}
	return otherwise
}

// awaitCommand returns the resolved command when all that it refers to is there,
// or false when ctx is done.
func (w *podWorker) awaitCommand(ctx context.Context, r *containerRecord) (command, bool) {
	for reported := ""; ; {
		cmd, err := w.command(ctx, r)
		if ctx.Err() != nil {
			return command{}, false
		}
		if err == nil {
			return cmd, true
		}
		if message := err.Error(); message != reported {
			reported = message
			w.set(func() { r.wait(reasonConfig, message) })
			w.node.event(w.current(), corev1.EventTypeWarning, "Failed", "Error: "+message)
		}
		if !pauseFor(ctx, preparePeriod) {
			return command{}, false
		}
	}
}
