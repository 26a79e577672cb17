package random

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// spec is the content of spec of a Job, as a manifest has it.
type spec = map[string]any

// state is what became of the first Job before it is changed.
type state string

const (
	neverStarted  state = "never started"
	running       state = "running"
	complete      state = "complete"
	failed        state = "failed"
	suspendedLate state = "suspended after a run"
)

var states = []state{neverStarted, running, complete, failed, suspendedLate}

// command makes the Job reach the state.
func (s state) command() string {
	switch s {
	case running, suspendedLate:
		return "sleep 600"
	case failed:
		return "exit 1"
	case neverStarted, complete:
		return "true"
	}
	return "true"
}

// pair is a Job as it was applied first and as it is applied then.
type pair struct {
	state         state
	first, second spec
	// labels are metadata.labels of the second Job.
	labels map[string]any
	// changes names what was done to the first to get the second.
	changes []string
}

// generate returns the pair of a seed: the same one for the same seed.
func generate(seed uint64) pair {
	r := rand.New(rand.NewPCG(seed, 1))
	p := pair{state: states[r.IntN(len(states))]}
	p.first = base(p.state)
	for range r.IntN(4) {
		m := mutations[r.IntN(len(mutations))]
		if m.atFirst {
			m.do(r, p.first)
		}
	}
	p.second = clone(p.first).(spec)
	if p.state == suspendedLate {
		p.second["suspend"] = true
	}
	for range r.IntN(4) {
		m := mutations[r.IntN(len(mutations))]
		m.do(r, p.second)
		p.changes = append(p.changes, m.name)
	}
	if r.IntN(5) == 0 {
		p.labels = map[string]any{"tier": fmt.Sprint(r.IntN(3))}
		p.changes = append(p.changes, "metadata.labels")
	}
	return p
}

func base(s state) spec {
	job := spec{
		"backoffLimit": int64(0),
		"template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": "migrate"}},
			"spec": map[string]any{
				"restartPolicy":                 "Never",
				"terminationGracePeriodSeconds": int64(1),
				"containers": []any{map[string]any{
					"name": "migrate", "image": "shop:1", "command": []any{"sh", "-c", s.command()},
					"env": []any{map[string]any{"name": "LEVEL", "value": "info"}},
				}},
			},
		},
	}
	if s == neverStarted {
		job["suspend"] = true
	}
	return job
}

// mutation is one change of a Job's spec.
type mutation struct {
	name string
	// atFirst says that the first Job may have it, too: it does not keep the
	// Job from reaching its state.
	atFirst bool
	do      func(r *rand.Rand, job spec)
}

var mutations = []mutation{
	{"image", false, func(r *rand.Rand, j spec) { container(j)["image"] = fmt.Sprintf("shop:%d", r.IntN(4)) }},
	{"imagePullPolicy", true, func(r *rand.Rand, j spec) {
		container(j)["imagePullPolicy"] = pick(r, "Always", "IfNotPresent")
	}},
	{"command", false, func(r *rand.Rand, j spec) {
		container(j)["command"] = []any{"sh", "-c", fmt.Sprintf("exit %d", r.IntN(3))}
	}},
	{"args", true, func(r *rand.Rand, j spec) { container(j)["args"] = []any{fmt.Sprint(r.IntN(3))} }},
	{"env added", true, func(r *rand.Rand, j spec) {
		setItem(container(j), "env", map[string]any{"name": fmt.Sprintf("V%d", r.IntN(3)), "value": fmt.Sprint(r.IntN(3))})
	}},
	{"env removed", true, func(_ *rand.Rand, j spec) { delete(container(j), "env") }},
	{"env reordered", true, func(_ *rand.Rand, j spec) {
		if env, is := container(j)["env"].([]any); is {
			slices.Reverse(env)
		}
	}},
	{"resources", true, func(r *rand.Rand, j spec) {
		container(j)["resources"] = map[string]any{"requests": map[string]any{"cpu": pick(r, "1", "1000m", "100m", "0.1"), "memory": pick(r, "64Mi", "65536Ki", "128Mi")}}
	}},
	{"resources of limits", true, func(r *rand.Rand, j spec) {
		container(j)["resources"] = map[string]any{"limits": map[string]any{"cpu": pick(r, "2", "2000m")}}
	}},
	{"ports", true, func(r *rand.Rand, j spec) {
		setItem(container(j), "ports", map[string]any{"name": "http", "containerPort": int64(8080 + r.IntN(2)), "protocol": "TCP"})
	}},
	{"workingDir", true, func(r *rand.Rand, j spec) { container(j)["workingDir"] = pick(r, "/tmp", "/") }},
	{"container securityContext", true, func(r *rand.Rand, j spec) {
		container(j)["securityContext"] = map[string]any{"runAsNonRoot": r.IntN(2) == 0}
	}},
	{"terminationMessagePolicy", true, func(r *rand.Rand, j spec) {
		container(j)["terminationMessagePolicy"] = pick(r, "File", "FallbackToLogsOnError")
	}},
	{"second container", false, func(r *rand.Rand, j spec) {
		setItem(pod(j), "containers", map[string]any{"name": "second", "image": fmt.Sprintf("log:%d", r.IntN(2)), "command": []any{"true"}})
	}},
	{"init container", false, func(r *rand.Rand, j spec) {
		setItem(pod(j), "initContainers", map[string]any{"name": "init", "image": fmt.Sprintf("init:%d", r.IntN(2)), "command": []any{"true"}})
	}},
	{"volume", true, func(r *rand.Rand, j spec) {
		setItem(pod(j), "volumes", map[string]any{"name": "work", "emptyDir": map[string]any{"sizeLimit": pick(r, "1Gi", "1024Mi")}})
	}},
	{"explicit pod defaults", true, func(_ *rand.Rand, j spec) {
		maps.Copy(pod(j), map[string]any{"dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "securityContext": map[string]any{}})
	}},
	{"dnsPolicy", true, func(r *rand.Rand, j spec) { pod(j)["dnsPolicy"] = pick(r, "ClusterFirst", "Default") }},
	{"hostNetwork", true, func(r *rand.Rand, j spec) { pod(j)["hostNetwork"] = r.IntN(2) == 0 }},
	{"serviceAccountName", false, func(r *rand.Rand, j spec) { pod(j)["serviceAccountName"] = pick(r, "default", "migrate") }},
	{"terminationGracePeriodSeconds", true, func(r *rand.Rand, j spec) { pod(j)["terminationGracePeriodSeconds"] = int64(1 + r.IntN(2)) }},
	{"restartPolicy", false, func(r *rand.Rand, j spec) { pod(j)["restartPolicy"] = pick(r, "Never", "OnFailure", "Always") }},
	{"priority class", false, func(_ *rand.Rand, j spec) { pod(j)["priorityClassName"] = "system-node-critical" }},
	{"nodeSelector", false, func(r *rand.Rand, j spec) {
		pod(j)["nodeSelector"] = map[string]any{"disk": pick(r, "ssd", "hdd")}
	}},
	{"tolerations", true, func(r *rand.Rand, j spec) {
		pod(j)["tolerations"] = []any{map[string]any{"key": pick(r, "a", "b"), "operator": "Exists", "effect": "NoSchedule"}}
	}},
	{"node affinity", false, func(r *rand.Rand, j spec) {
		pod(j)["affinity"] = map[string]any{"nodeAffinity": map[string]any{"requiredDuringSchedulingIgnoredDuringExecution": map[string]any{
			"nodeSelectorTerms": []any{map[string]any{"matchExpressions": []any{map[string]any{"key": "disk", "operator": "In", "values": []any{pick(r, "ssd", "hdd")}}}}},
		}}}
	}},
	{"template label", true, func(r *rand.Rand, j spec) { templateMeta(j, "labels")["version"] = fmt.Sprint(r.IntN(3)) }},
	{"template label removed", true, func(_ *rand.Rand, j spec) { delete(templateMeta(j, "labels"), "app") }},
	{"template annotation", true, func(r *rand.Rand, j spec) { templateMeta(j, "annotations")["example.com/at"] = fmt.Sprint(r.IntN(3)) }},

	{"backoffLimit", false, func(r *rand.Rand, j spec) { j["backoffLimit"] = int64(r.IntN(4)) - 1 }},
	{"backoffLimit removed", false, func(_ *rand.Rand, j spec) { delete(j, "backoffLimit") }},
	{"activeDeadlineSeconds", true, func(r *rand.Rand, j spec) { j["activeDeadlineSeconds"] = int64(3600 + r.IntN(2)) }},
	{"ttlSecondsAfterFinished", true, func(r *rand.Rand, j spec) { j["ttlSecondsAfterFinished"] = int64(3600 + r.IntN(2)) }},
	{"suspend", false, func(r *rand.Rand, j spec) { j["suspend"] = r.IntN(2) == 0 }},
	{"suspend removed", false, func(_ *rand.Rand, j spec) { delete(j, "suspend") }},
	{"parallelism", true, func(r *rand.Rand, j spec) { j["parallelism"] = int64(1 + r.IntN(3)) }},
	{"parallelism removed", true, func(_ *rand.Rand, j spec) { delete(j, "parallelism") }},
	{"completions", true, func(r *rand.Rand, j spec) { j["completions"] = int64(1 + r.IntN(3)) }},
	{"completions removed", true, func(_ *rand.Rand, j spec) { delete(j, "completions") }},
	{"completionMode", true, func(r *rand.Rand, j spec) {
		j["completionMode"], j["completions"] = pick(r, "Indexed", "NonIndexed"), int64(2)
	}},
	{"elastic", true, func(r *rand.Rand, j spec) {
		n := int64(1 + r.IntN(3))
		j["completionMode"], j["completions"], j["parallelism"] = "Indexed", n, n
	}},
	{"backoffLimitPerIndex", false, func(r *rand.Rand, j spec) {
		j["completionMode"], j["completions"], j["backoffLimitPerIndex"] = "Indexed", int64(2), int64(r.IntN(2))
	}},
	{"maxFailedIndexes", false, func(r *rand.Rand, j spec) {
		j["completionMode"], j["completions"], j["backoffLimitPerIndex"], j["maxFailedIndexes"] = "Indexed", int64(2), int64(1), int64(r.IntN(3))
	}},
	{"podReplacementPolicy", true, func(r *rand.Rand, j spec) { j["podReplacementPolicy"] = pick(r, "Failed", "TerminatingOrFailed") }},
	{"podFailurePolicy", false, func(r *rand.Rand, j spec) {
		j["podFailurePolicy"] = map[string]any{"rules": []any{map[string]any{"action": "FailJob", "onExitCodes": map[string]any{"operator": "In", "values": []any{int64(40 + r.IntN(2))}}}}}
	}},
	{"successPolicy", false, func(r *rand.Rand, j spec) {
		j["completionMode"], j["completions"] = "Indexed", int64(2)
		j["successPolicy"] = map[string]any{"rules": []any{map[string]any{"succeededCount": int64(1 + r.IntN(2))}}}
	}},
	{"managedBy", false, func(r *rand.Rand, j spec) {
		j["managedBy"] = pick(r, "example.com/controller", "kubernetes.io/job-controller")
	}},
	{"selector", false, func(_ *rand.Rand, j spec) {
		j["selector"] = map[string]any{"matchLabels": map[string]any{"app": "migrate"}}
	}},
	{"manual selector", false, func(_ *rand.Rand, j spec) {
		j["manualSelector"], j["selector"] = true, map[string]any{"matchLabels": map[string]any{"app": "migrate"}}
	}},
	{"unknown field", true, func(_ *rand.Rand, j spec) { j["backofLimit"] = int64(9) }},
}

func pick(r *rand.Rand, values ...string) string { return values[r.IntN(len(values))] }

func pod(j spec) map[string]any {
	return j["template"].(map[string]any)["spec"].(map[string]any)
}

func container(j spec) map[string]any {
	return pod(j)["containers"].([]any)[0].(map[string]any)
}

func templateMeta(j spec, field string) map[string]any {
	meta := j["template"].(map[string]any)["metadata"].(map[string]any)
	if meta[field] == nil {
		meta[field] = map[string]any{}
	}
	return meta[field].(map[string]any)
}

// setItem puts the item into the list, in place of the one with its name.
func setItem(in map[string]any, field string, item map[string]any) {
	list, _ := in[field].([]any)
	for i := range list {
		if list[i].(map[string]any)["name"] == item["name"] {
			list[i] = item
			return
		}
	}
	in[field] = append(list, item)
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for key, item := range v {
			c[key] = clone(item)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, item := range v {
			c[i] = clone(item)
		}
		return c
	}
	return v
}
