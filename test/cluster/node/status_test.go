package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// ends builds the records of main containers that have ended.
func ends(codes ...int32) []*containerRecord {
	var records []*containerRecord
	for _, code := range codes {
		r := &containerRecord{}
		r.end(corev1.ContainerStateTerminated{ExitCode: code})
		records = append(records, r)
	}
	return records
}

func runs() *containerRecord {
	return &containerRecord{state: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
}

func waits() *containerRecord { return (&containerRecord{}).wait("ContainerCreating", "") }

func initWith(state *containerRecord) *containerRecord {
	state.init = true
	return state
}

func TestPhase(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		policy  corev1.RestartPolicy
		records []*containerRecord
		ended   bool
		reason  string
		want    corev1.PodPhase
	}{
		"not started":               {corev1.RestartPolicyNever, []*containerRecord{waits()}, false, "", corev1.PodPending},
		"one of two started":        {corev1.RestartPolicyNever, []*containerRecord{waits(), runs()}, false, "", corev1.PodPending},
		"running":                   {corev1.RestartPolicyNever, []*containerRecord{runs()}, false, "", corev1.PodRunning},
		"one failed, one runs":      {corev1.RestartPolicyNever, append(ends(1), runs()), false, "", corev1.PodRunning},
		"succeeded":                 {corev1.RestartPolicyNever, ends(0, 0), true, "", corev1.PodSucceeded},
		"one of two failed":         {corev1.RestartPolicyNever, ends(0, 1), true, "", corev1.PodFailed},
		"to be restarted":           {corev1.RestartPolicyOnFailure, ends(1), false, "", corev1.PodRunning},
		"always restarted":          {corev1.RestartPolicyAlways, ends(0), false, "", corev1.PodRunning},
		"stopped, was restarting":   {corev1.RestartPolicyAlways, ends(0), true, "", corev1.PodSucceeded},
		"init runs":                 {corev1.RestartPolicyNever, []*containerRecord{initWith(runs()), waits()}, false, "", corev1.PodPending},
		"init failed":               {corev1.RestartPolicyNever, []*containerRecord{initWith(ends(1)[0]), waits()}, true, "", corev1.PodFailed},
		"init to be restarted":      {corev1.RestartPolicyOnFailure, []*containerRecord{initWith(ends(1)[0]), waits()}, false, "", corev1.PodPending},
		"stopped before it started": {corev1.RestartPolicyNever, []*containerRecord{waits()}, true, "", corev1.PodFailed},
		"deadline":                  {corev1.RestartPolicyNever, ends(0), true, reasonDeadline, corev1.PodFailed},
		"deadline, still stopping":  {corev1.RestartPolicyNever, []*containerRecord{runs()}, false, reasonDeadline, corev1.PodRunning},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			view := podView{
				spec: &corev1.PodSpec{RestartPolicy: test.policy}, records: test.records, ended: test.ended, reason: test.reason,
			}
			if got := view.phase(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
