package node

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// podView is everything a pod's status is computed from.
type podView struct {
	spec        *corev1.PodSpec
	records     []*containerRecord
	ended       bool   // no container will be started any more, and none runs
	initialized bool   // the main containers were allowed to start
	reason      string // why the node failed the pod, for example DeadlineExceeded
	message     string
}

// phase computes the phase as the kubelet does.
func (v podView) phase() corev1.PodPhase {
	if v.reason != "" && v.ended {
		return corev1.PodFailed
	}
	if phase, decided := v.initPhase(); decided {
		return phase
	}
	return v.mainPhase()
}

// initPhase decides the phase while init containers are not through.
func (v podView) initPhase() (corev1.PodPhase, bool) {
	pending := false
	for _, r := range v.records {
		if !r.init || r.sidecar {
			continue
		}
		code, ended := r.ended()
		switch {
		case ended && code == 0 && r.state.Terminated != nil:
		case ended && code != 0 && (v.ended || !podutil.ContainerShouldRestart(r.spec, *v.spec, code)):
			return corev1.PodFailed, true
		default:
			pending = true
		}
	}
	if pending && v.ended {
		return corev1.PodFailed, true
	}
	return corev1.PodPending, pending
}

func (v podView) mainPhase() corev1.PodPhase {
	running, waiting, failed, restarting := v.sidecarsRun(), false, false, false
	for _, r := range v.records {
		if r.init {
			continue
		}
		code, ended := r.ended()
		switch {
		case r.state.Running != nil:
			running = true
		case !ended:
			waiting = true
		default:
			failed = failed || code != 0
			restarting = restarting || podutil.ContainerShouldRestart(r.spec, *v.spec, code)
		}
	}
	switch {
	case waiting && v.ended:
		return corev1.PodFailed
	case waiting:
		return corev1.PodPending
	case running || (restarting && !v.ended):
		return corev1.PodRunning
	case failed:
		return corev1.PodFailed
	default:
		return corev1.PodSucceeded
	}
}

func (v podView) sidecarsRun() bool {
	return slices.ContainsFunc(v.records, func(r *containerRecord) bool {
		return r.sidecar && r.state.Running != nil
	})
}

// status computes the whole status on top of the one that stands, whose
// conditions of other owners are kept.
func (v podView) status(generation int64, old *corev1.PodStatus, now metav1.Time) *corev1.PodStatus {
	s := old.DeepCopy()
	s.Phase = v.phase()
	s.ObservedGeneration = generation
	s.Reason, s.Message = "", ""
	if v.ended {
		s.Reason, s.Message = v.reason, v.message
	}
	s.HostIP, s.HostIPs = loopback, []corev1.HostIP{{IP: loopback}}
	s.PodIP, s.PodIPs = loopback, []corev1.PodIP{{IP: loopback}}
	if s.StartTime == nil {
		s.StartTime = &now
	}
	s.InitContainerStatuses, s.ContainerStatuses = v.containerStatuses()
	v.setConditions(s, generation, now)
	return s
}

func (v podView) containerStatuses() (initial, regular []corev1.ContainerStatus) {
	for _, r := range v.records {
		if r.init {
			initial = append(initial, r.status())
		} else {
			regular = append(regular, r.status())
		}
	}
	return initial, regular
}

// setConditions writes the conditions that a kubelet owns.
func (v podView) setConditions(s *corev1.PodStatus, generation int64, now metav1.Time) {
	ready, reason := v.readiness(s.Phase)
	set := func(t corev1.PodConditionType, ok bool, reason string) {
		c := corev1.PodCondition{Type: t, Status: corev1.ConditionFalse, Reason: reason, ObservedGeneration: generation}
		if ok {
			c.Status, c.Reason = corev1.ConditionTrue, ""
		}
		setCondition(s, c, now)
	}
	set(corev1.PodReadyToStartContainers, !v.ended, "")
	set(corev1.PodInitialized, v.initialized || s.Phase == corev1.PodSucceeded, "ContainersNotInitialized")
	set(corev1.ContainersReady, ready, reason)
	set(corev1.PodReady, ready && gatesPass(v.spec, s), reason)
	set(corev1.PodScheduled, true, "")
	if s.Phase == corev1.PodSucceeded {
		setReason(s, corev1.PodInitialized, reason)
	}
}

// readiness tells whether all containers are ready and, if not, why.
func (v podView) readiness(phase corev1.PodPhase) (ready bool, reason string) {
	if phase == corev1.PodSucceeded {
		return false, "PodCompleted"
	}
	if phase == corev1.PodFailed {
		return false, "PodFailed"
	}
	for _, r := range v.records {
		if (!r.init || r.sidecar) && !r.ready {
			return false, "ContainersNotReady"
		}
	}
	return v.initialized, "ContainersNotReady"
}

// gatesPass tells whether the pod's readiness gates are all true.
func gatesPass(spec *corev1.PodSpec, s *corev1.PodStatus) bool {
	for _, gate := range spec.ReadinessGates {
		_, c := podutil.GetPodCondition(s, gate.ConditionType)
		if c == nil || c.Status != corev1.ConditionTrue {
			return false
		}
	}
	return true
}

// setCondition adds or replaces a condition. The transition time changes with
// the status only.
func setCondition(s *corev1.PodStatus, c corev1.PodCondition, now metav1.Time) {
	c.LastTransitionTime = now
	i, old := podutil.GetPodCondition(s, c.Type)
	if old == nil {
		s.Conditions = append(s.Conditions, c)
		return
	}
	if old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	s.Conditions[i] = c
}

func setReason(s *corev1.PodStatus, t corev1.PodConditionType, reason string) {
	if _, c := podutil.GetPodCondition(s, t); c != nil {
		c.Reason = reason
	}
}
