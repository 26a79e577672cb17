package execute

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// waitingPod is a pod of which a container waits.
func waitingPod(name, container, reason, message string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)},
		Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
			Name: container, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}},
	}
}

func TestPodTroubles(t *testing.T) {
	scheduled := func(status corev1.ConditionStatus, reason string) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: status, Reason: reason, Message: "0/3 nodes are available"},
		}}}
	}
	both := waitingPod("p", "main", "PodInitializing", "")
	both.Status.InitContainerStatuses = waitingPod("p", "init", "ErrImagePull", "not found").Status.ContainerStatuses
	restarted := waitingPod("p", "main", "CrashLoopBackOff", "back-off 10s")
	tests := []struct {
		name string
		pod  corev1.Pod
		want []string
	}{
		{"an image that cannot be pulled", waitingPod("p", "main", "ImagePullBackOff", "Back-off pulling image"), []string{"ImagePullBackOff: container main of pod p: Back-off pulling image"}},
		{"a name that is none", waitingPod("p", "main", "InvalidImageName", ""), []string{"InvalidImageName: container main of pod p"}},
		{"a key that is missing", waitingPod("p", "main", "CreateContainerConfigError", `secret "s" not found`), []string{`CreateContainerConfigError: container main of pod p: secret "s" not found`}},
		{"an init container", both, []string{"ErrImagePull: container init of pod p: not found"}},
		{"a container that is being created", waitingPod("p", "main", "ContainerCreating", ""), nil},
		{"one that failed and is started again", restarted, nil},
		{"no node", scheduled(corev1.ConditionFalse, "Unschedulable"), []string{"Unschedulable: pod p: 0/3 nodes are available"}},
		{"a gate", scheduled(corev1.ConditionFalse, "SchedulingGated"), nil},
		{"a node", scheduled(corev1.ConditionTrue, ""), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, found := range podTroubles(&tt.pod) {
				got = append(got, found.String())
				if !found.stuck {
					t.Errorf("%s is not stuck", found)
				}
			}
			same(t, "troubles", got, tt.want)
		})
	}
}

func event(reason, message, uid string) corev1.Event {
	return corev1.Event{
		Reason: reason, Message: message, Type: corev1.EventTypeWarning, Count: 1,
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "p", UID: types.UID(uid)},
	}
}

func TestEventTrouble(t *testing.T) {
	repeated, series := event("FailedCreate", "quota", "job"), event("FailedCreate", "quota", "job")
	repeated.Count = 2
	series.Series = &corev1.EventSeries{Count: 3}
	tests := []struct {
		name  string
		event corev1.Event
		want  string
		stuck bool
	}{
		{"no pod can be created", event("FailedCreate", "exceeded quota", "job"), "FailedCreate: exceeded quota", false},
		{"again", repeated, "FailedCreate: quota", true},
		{"again, in a series", series, "FailedCreate: quota", true},
		{"a volume", event("FailedMount", `secret "s" not found`, "p"), `FailedMount: pod p: secret "s" not found`, false},
		{"what the status of the pod tells", event("Failed", "ErrImagePull", "p"), "", false},
		{"the end of the Job", event("BackoffLimitExceeded", "failed", "job"), "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, hinders := eventTrouble(&tt.event)
			if hinders != (tt.want != "") || hinders && got.String() != tt.want || got.stuck != tt.stuck {
				t.Errorf("got %t, %q, stuck %t", hinders, got, got.stuck)
			}
		})
	}
}

func TestMattering(t *testing.T) {
	at := func(second int64, e corev1.Event) corev1.Event {
		e.LastTimestamp = metav1.NewTime(time.Unix(second, 0))
		return e
	}
	tests := []struct {
		name     string
		warnings []corev1.Event
		want     []string
	}{
		{"none", nil, nil},
		{"the oldest first", []corev1.Event{at(2, event("B", "b", "pod")), at(1, event("A", "a", "job"))}, []string{"A", "B"}},
		{"not of another object", []corev1.Event{event("A", "a", "other")}, nil},
		{"not what the Job says itself", []corev1.Event{event("BackoffLimitExceeded", "Job has reached", "job")}, nil},
		{"not that a container is started again", []corev1.Event{event("BackOff", "restarting", "pod")}, nil},
		{"each once", []corev1.Event{at(1, event("A", "a", "pod")), at(2, event("A", "a", "pod2"))}, []string{"A"}},
		{
			"the last five", []corev1.Event{
				at(1, event("A", "", "pod")), at(2, event("B", "", "pod")), at(3, event("C", "", "pod")), at(4, event("D", "", "pod")), at(5, event("E", "", "pod")), at(6, event("F", "", "pod")),
			}, []string{"B", "C", "D", "E", "F"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, e := range mattering(tt.warnings, map[string]bool{"job": true, "pod": true, "pod2": true}, "BackoffLimitExceeded: Job has reached the limit") {
				got = append(got, e.Reason)
			}
			same(t, "warnings", got, tt.want)
		})
	}
}
