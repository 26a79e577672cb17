package execute

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/health"
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
}

// followJob waits for the end of one Job, tells of it, and shows its logs.
func (s *stepRun) followJob(ctx context.Context, t target) error {
	if err := s.confirmJob(ctx, &t); err != nil {
		return err
	}
	f := &follower{stepRun: s, t: t, uid: string(t.object.GetUID()), start: time.Now(), state: "not seen yet"}
	f.logs = s.streamLogs(ctx, t.ref, f.uid)
	defer f.logs.stop()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	states := s.jobs[t.ref.ID()].states(watching)
	pods := (&sight{open: func() (<-chan cluster.Seen, error) {
		return s.cluster.WatchPods(watching, t.ref.Namespace, f.uid)
	}}).states(watching)
	for {
		select {
		case <-ctx.Done():
			return &errWaiting{t.ref, f.state}
		case next := <-pods:
			f.pod(next)
		case next := <-states:
			if ended, err := f.job(ctx, next); ended || err != nil {
				return err
			}
		}
	}
}

// job takes up a state of the Job and says whether that is its end; it fails
// unless the end is a good one.
func (f *follower) job(ctx context.Context, next cluster.Seen) (ended bool, err error) {
	if next.Err != nil {
		return true, next.Err
	}
	if string(next.Object.GetUID()) != f.uid || next.Object.GetGeneration() < f.t.object.GetGeneration() {
		return false, nil
	}
	now := health.Job(next.Object)
	f.state = now.Message
	if !f.running && !next.Deleted && now.Phase != health.Suspended {
		f.running = f.began(now, next.Object)
	}
	switch {
	case now.Phase == health.Done:
		f.logs.finish(ctx)
		if f.running {
			f.tell(report.Event{Type: report.JobComplete, Seconds: since(f.start)})
		}
		return true, nil
	case now.Phase == health.Suspended:
		f.tell(report.Event{Type: report.Notice, Message: "the Job is suspended, it has not run"})
		return true, nil
	case now.Phase == health.Failed:
		f.logs.finish(ctx)
		return true, f.jobFailed(ctx, f.t, f.uid, now, since(f.start))
	case next.Deleted:
		f.tell(report.Event{Type: report.JobFailed, Message: "it vanished before its end was seen", Seconds: since(f.start)})
		return true, fmt.Errorf("%s vanished before its end was seen: whether it ran is unknown", f.t.ref)
	}
	return false, nil
}

// tell emits an event of the Job.
func (f *follower) tell(e report.Event) {
	e.Object, e.UID = &f.t.ref, f.uid
	f.emit(e)
}

// pod takes up a state of a pod of the Job.
func (f *follower) pod(next cluster.Seen) {
	if next.Err != nil {
		f.tell(report.Event{Type: report.Notice, Message: "its pods cannot be followed: " + next.Err.Error()})
		return
	}
	var pod corev1.Pod
	if runtime.DefaultUnstructuredConverter.FromUnstructured(next.Object.Object, &pod) == nil {
		f.logs.follow(&pod)
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
