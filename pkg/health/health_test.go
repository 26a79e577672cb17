package health_test

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/pkg/health"
)

const job = `
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: shop, generation: 1}
`

func TestJob(t *testing.T) {
	tests := []struct {
		name, rest string
		want       health.State
		ended      bool
	}{
		{"no status yet", "", health.State{Phase: health.Progressing, Message: "not started"}, false},
		{"started, without pods", "status: {startTime: '2026-11-05T12:00:00Z'}", health.State{Phase: health.Progressing, Message: "running"}, false},
		{
			"running", "status: {startTime: '2026-11-05T12:00:00Z', active: 2, succeeded: 1, failed: 3}",
			health.State{Phase: health.Progressing, Message: "running: 2 active, 1 succeeded, 3 failed"},
			false,
		},
		{
			"complete", "status: {startTime: '2026-11-05T12:00:00Z', succeeded: 1, conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: 'True', reason: CompletionsReached, message: Reached expected number of succeeded pods}]}",
			health.State{Phase: health.Done, Message: "CompletionsReached: Reached expected number of succeeded pods"},
			true,
		},
		{
			"failed", "status: {conditions: [{type: FailureTarget, status: 'True'}, {type: Failed, status: 'True', reason: BackoffLimitExceeded, message: Job has reached the specified backoff limit}]}",
			health.State{Phase: health.Failed, Message: "BackoffLimitExceeded: Job has reached the specified backoff limit"},
			true,
		},
		{
			"a failure that its pods' end is waited for is no end", "status: {startTime: '2026-11-05T12:00:00Z', active: 1, conditions: [{type: FailureTarget, status: 'True', reason: BackoffLimitExceeded}]}",
			health.State{Phase: health.Progressing, Message: "running: 1 active"},
			false,
		},
		{
			"a success that its pods' end is waited for is no end", "status: {startTime: '2026-11-05T12:00:00Z', active: 1, conditions: [{type: SuccessCriteriaMet, status: 'True'}]}",
			health.State{Phase: health.Progressing, Message: "running: 1 active"},
			false,
		},
		{
			"conditions that are not true say nothing", "status: {startTime: '2026-11-05T12:00:00Z', conditions: [{type: Failed, status: 'False'}, {type: Complete, status: Unknown}]}",
			health.State{Phase: health.Progressing, Message: "running"},
			false,
		},
		{"suspended", "spec: {suspend: true}", health.State{Phase: health.Suspended, Message: "suspended: spec.suspend is true"}, true},
		{
			"suspended after it failed is failed", "spec: {suspend: true}\nstatus: {conditions: [{type: Suspended, status: 'True'}, {type: Failed, status: 'True', reason: DeadlineExceeded}]}",
			health.State{Phase: health.Failed, Message: "DeadlineExceeded"},
			true,
		},
		{
			"suspended after it completed is complete", "spec: {suspend: true}\nstatus: {conditions: [{type: Complete, status: 'True', message: all done}]}",
			health.State{Phase: health.Done, Message: "all done"},
			true,
		},
		{
			"resumed, with the condition of the suspension left over", "spec: {suspend: false}\nstatus: {conditions: [{type: Suspended, status: 'False'}]}",
			health.State{Phase: health.Progressing, Message: "not started"},
			false,
		},
		{"complete without a reason", "status: {conditions: [{type: Complete, status: 'True'}]}", health.State{Phase: health.Done, Message: "complete"}, true},
		{"failed without a reason", "status: {conditions: [{type: Failed, status: 'True'}]}", health.State{Phase: health.Failed, Message: "failed"}, true},
		{"conditions that are no list of maps", "status: {conditions: [Complete]}", health.State{Phase: health.Progressing, Message: "not started"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := health.Job(fromYAML(t, job+tt.rest))
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if got.Ended() != tt.ended {
				t.Errorf("ended: got %t, want %t", got.Ended(), tt.ended)
			}
		})
	}
}

func TestFluxReadsAnObjectAsTheControllerDoes(t *testing.T) {
	const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, generation: 2}
spec: {replicas: 2}
`
	const crd = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.example.com, generation: 1}
`
	const custom = `
apiVersion: example.com/v1
kind: CronTab
metadata: {name: a, namespace: shop, generation: 3}
`
	const kustomization = `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: child, namespace: flux-system, generation: 1}
`
	tests := []struct {
		name, object string
		want         health.Phase
	}{
		{"a Job that is not started", job, health.Progressing},
		{"a running Job, which kstatus alone would call current", job + "status: {startTime: '2026-11-05T12:00:00Z', active: 1}", health.Progressing},
		{"a complete Job", job + "status: {conditions: [{type: Complete, status: 'True'}]}", health.Done},
		{"a failed Job", job + "status: {conditions: [{type: Failed, status: 'True'}]}", health.Failed},
		{"a Job about to fail", job + "status: {startTime: '2026-11-05T12:00:00Z', conditions: [{type: FailureTarget, status: 'True'}]}", health.Progressing},
		{"a suspended Job is healthy", job + "spec: {suspend: true}", health.Done},
		{"a suspended Job is healthy even after it failed", job + "spec: {suspend: true}\nstatus: {conditions: [{type: Failed, status: 'True'}]}", health.Done},
		{"a Deployment without status", deployment, health.Progressing},
		{
			"a Deployment on its way", deployment + "status: {observedGeneration: 2, replicas: 2, updatedReplicas: 1, availableReplicas: 1, readyReplicas: 1}",
			health.Progressing,
		},
		{
			"a Deployment that was not looked at since it changed", deployment + "status: {observedGeneration: 1, replicas: 2, updatedReplicas: 2, availableReplicas: 2, readyReplicas: 2, conditions: [{type: Available, status: 'True'}]}",
			health.Progressing,
		},
		{
			"an available Deployment", deployment + "status: {observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 2, readyReplicas: 2, conditions: [{type: Available, status: 'True'}]}",
			health.Done,
		},
		{
			"a Deployment past its deadline", deployment + "status: {observedGeneration: 2, replicas: 2, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded}]}",
			health.Failed,
		},
		{"a ConfigMap is always healthy", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}", health.Done},
		{"a definition that is not established", crd, health.Progressing},
		{"an established definition", crd + "status: {conditions: [{type: Established, status: 'True'}]}", health.Done},
		{"a definition whose names are taken", crd + "status: {conditions: [{type: NamesAccepted, status: 'False'}]}", health.Failed},
		{"a custom object without conditions", custom, health.Done},
		{"a custom object that is ready", custom + "status: {observedGeneration: 3, conditions: [{type: Ready, status: 'True'}]}", health.Done},
		{"a custom object that is not ready", custom + "status: {observedGeneration: 3, conditions: [{type: Ready, status: 'False'}]}", health.Progressing},
		{"a custom object that is stalled", custom + "status: {observedGeneration: 3, conditions: [{type: Stalled, status: 'True', message: gave up}]}", health.Failed},
		{"an object that is being deleted", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop, deletionTimestamp: '2026-11-05T12:00:00Z'}", health.Progressing},
		{"a child Kustomization that was never reconciled", kustomization + "status: {observedGeneration: -1}", health.Progressing},
		{"a child Kustomization that fails and is tried again", kustomization + "status: {observedGeneration: 1, conditions: [{type: Reconciling, status: 'True'}, {type: Ready, status: 'False'}]}", health.Progressing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := health.Flux(fromYAML(t, tt.object)); got.Phase != tt.want {
				t.Errorf("got %s (%s), want %s", got.Phase, got.Message, tt.want)
			}
		})
	}
}

func TestFluxKeepsTheSentenceThatExplains(t *testing.T) {
	stalled := fromYAML(t, "apiVersion: example.com/v1\nkind: CronTab\nmetadata: {name: a}\nstatus: {conditions: [{type: Stalled, status: 'True', message: gave up}]}")
	if d := gocmp.Diff(health.State{Phase: health.Failed, Message: "gave up"}, health.Flux(stalled)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func fromYAML(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return u
}
