package execute

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/health"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// follower follows one Job to its end and tells of it. One goroutine uses it.
type follower struct {
	*stepRun
	t     target
	uid   string
	start time.Time
	// state is how the Job stands, in words.
	state string
	// running says that the beginning was told.
	running bool
	logs    *logStreams
	// told are the troubles that were told, by reason and container. stands are
	// those that were not overcome yet, by the UID of what they were seen on.
	told   map[string]bool
	stands map[string]trouble
	// pods are the UIDs of the Job's pods, refusals how often none could be created.
	pods     map[string]bool
	refusals int
}

// followJob waits for the end of one Job, tells of it, and shows its logs.
func (s *stepRun) followJob(ctx context.Context, t target) error {
	if err := s.confirmJob(ctx, &t); err != nil {
		return err
	}
	f := &follower{stepRun: s, t: t, uid: string(t.object.GetUID()), start: time.Now(), state: "not seen yet", told: map[string]bool{}, stands: map[string]trouble{}, pods: map[string]bool{}}
	f.logs = s.streamLogs(ctx, t.ref, f.uid)
	defer f.logs.stop()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	states := s.jobs[t.ref.ID()].states(watching)
	pods := (&sight{open: func() (<-chan cluster.Seen, error) {
		return s.cluster.WatchPods(watching, t.ref.Namespace, f.uid)
	}}).states(watching)
	warnings := (&sight{open: func() (<-chan cluster.Seen, error) {
		return s.cluster.WatchWarnings(watching, t.ref.Namespace)
	}}).states(watching)
	for {
		var ended bool
		var err error
		select {
		case <-ctx.Done():
			return &errWaiting{t.ref, f.text()}
		case next := <-pods:
			err = f.pod(next)
		case next := <-warnings:
			err = f.warning(next)
		case next := <-states:
			ended, err = f.job(ctx, next)
		}
		if ended || err != nil {
			return err
		}
	}
}

// job takes up a state of the Job and says whether that is its end; it fails
// unless the end is a good one.
func (f *follower) job(ctx context.Context, next cluster.Seen) (ended bool, err error) {
	if next.Err != nil {
		return true, next.Err
	}
	switch uid := string(next.Object.GetUID()); {
	case uid == f.uid && next.Object.GetGeneration() < f.t.object.GetGeneration(), uid != f.uid && f.predecessor(uid):
		return false, nil
	case uid != f.uid:
		return true, f.vanished(ctx)
	}
	now := health.Job(next.Object)
	f.state = now.Message
	if !f.running && !next.Deleted && now.Phase != health.Suspended {
		f.running = f.began(now, next.Object)
	}
	switch {
	case now.Phase == health.Done:
		f.logs.finish(ctx)
		f.over(ctx, f.t.job, f.uid, JobComplete)
		if f.running {
			f.tell(report.Event{Type: report.JobComplete, Seconds: since(f.start)})
		}
		return true, nil
	case now.Phase == health.Failed:
		f.logs.finish(ctx)
		f.over(ctx, f.t.job, f.uid, JobFailed)
		return true, f.failed(ctx, now)
	case next.Deleted:
		return true, f.vanished(ctx)
	case now.Phase == health.Suspended && f.t.job.Job.Suspended:
		f.tell(report.Event{Type: report.Notice, Message: "the Job is suspended, it has not run"})
		return true, nil
	case now.Phase == health.Suspended && !f.told[plan.Suspended]:
		f.told[plan.Suspended] = true
		f.tell(report.Event{Type: report.Notice, Reason: plan.Suspended, Message: "somebody has suspended the Job: waiting until it is resumed"})
	}
	return false, nil
}

// predecessor says whether the UID is that of the Job which this one replaces.
func (f *follower) predecessor(uid string) bool {
	return f.t.job.Live != nil && f.t.job.Live.UID == uid
}

// vanished tells that the Job is gone and its end was not seen.
func (f *follower) vanished(ctx context.Context) error {
	f.over(ctx, f.t.job, f.uid, JobUnknown)
	f.tell(report.Event{Type: report.JobFailed, Message: "it vanished before its end was seen", Seconds: since(f.start)})
	return fmt.Errorf("%s vanished before its end was seen: whether it ran is unknown", f.t.ref)
}

// text is how the Job stands, with what keeps it from getting on.
func (f *follower) text() string {
	parts := []string{f.state}
	for _, uid := range slices.Sorted(maps.Keys(f.stands)) {
		parts = append(parts, f.stands[uid].String())
	}
	return strings.Join(parts, "; ")
}

// tell emits an event of the Job.
func (f *follower) tell(e report.Event) {
	e.Object, e.UID = &f.t.ref, f.uid
	f.emit(e)
}

// pod takes up a state of a pod of the Job.
func (f *follower) pod(next cluster.Seen) error {
	var pod corev1.Pod
	if !f.decode(next, &pod, "pods") {
		return nil
	}
	uid := string(pod.UID)
	f.pods[uid] = true
	delete(f.stands, f.uid) // Pods can be created.
	delete(f.stands, uid)
	if next.Deleted || slices.ContainsFunc(cluster.Containers(&pod), func(c cluster.Container) bool { return c.Started }) {
		delete(f.stands, uid+byEvent)
	}
	if next.Deleted {
		return nil
	}
	f.logs.follow(&pod)
	for _, t := range podTroubles(&pod) {
		f.stands[uid] = t
		if err := f.stumbles(t); err != nil {
			return err
		}
	}
	return nil
}

// byEvent marks the troubles of a pod that its status does not tell of.
const byEvent = "/event"

// warning takes up an event in the Job's namespace.
func (f *follower) warning(next cluster.Seen) error {
	var e corev1.Event
	if !f.decode(next, &e, "events") || next.Deleted {
		return nil
	}
	t, hinders := eventTrouble(&e)
	uid := string(e.InvolvedObject.UID)
	switch {
	case !hinders:
		return nil
	case uid == f.uid:
		f.refusals++
		t.stuck = t.stuck || f.refusals > 1
		f.stands[uid] = t
	case f.pods[uid]:
		f.stands[uid+byEvent] = t
	default:
		return nil
	}
	return f.stumbles(t)
}

// decode reads what a watch has seen. That the watch failed is told.
func (f *follower) decode(next cluster.Seen, into any, what string) bool {
	if next.Err != nil {
		f.tell(report.Event{Type: report.Notice, Message: fmt.Sprintf("its %s cannot be followed: %v", what, next.Err)})
		return false
	}
	return runtime.DefaultUnstructuredConverter.FromUnstructured(next.Object.Object, into) == nil
}

// stumbles tells of a trouble, once. With FailFast it is an error if there is no
// sense in waiting.
func (f *follower) stumbles(t trouble) error {
	f.tellTrouble(t)
	if f.opts.FailFast && t.stuck {
		return fmt.Errorf("%s cannot get on, and --fail-fast does not wait for it: %s; the Job stays as it is", f.t.ref, t)
	}
	return nil
}

func (f *follower) tellTrouble(t trouble) {
	if key := t.reason + " " + t.container; !f.told[key] {
		f.told[key] = true
		f.tell(report.Event{Type: report.Notice, Reason: t.reason, Message: t.String()})
	}
}

// began tells once that a Job has begun, or that it still runs from before; it
// answers whether it told.
func (f *follower) began(now health.State, job *unstructured.Unstructured) bool {
	willRun := f.t.job.Job.WillRun
	switch {
	case willRun && startTime(job) != "":
		f.tell(report.Event{Type: report.JobStarted})
		return true
	case !willRun && now.Phase == health.Progressing:
		f.tell(report.Event{Type: report.Notice, Message: "still runs from before, waiting for its end: " + now.Message})
		return true
	}
	return false
}

// startTime says when the Job controller has taken up the Job, if it has.
func startTime(job *unstructured.Unstructured) string {
	start, _, _ := unstructured.NestedString(job.Object, "status", "startTime")
	return start
}

// confirmJob makes sure that an unchanged Job is still the one that the plan
// saw, and takes its present state as the one to go on from. A Job that was
// just written is known.
func (s *stepRun) confirmJob(ctx context.Context, t *target) error {
	if t.object != nil {
		return nil
	}
	live, err := s.read(ctx, t.ref)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s vanished since the plan was made: plan again", t.ref)
	case err != nil:
		return s.ended(ctx, t.ref, "not seen yet", s.refused("read", t.ref, err))
	case string(live.GetUID()) != t.job.Live.UID:
		return replaced(t.job)
	}
	t.object = live
	return nil
}
