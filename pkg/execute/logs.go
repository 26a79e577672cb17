package execute

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/health"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

const (
	// logLines is how much of a failed container's log is shown.
	logLines = 20
	// logGrace is how long the end of a log may come after the end of its Job.
	logGrace = 5 * time.Second
)

// failed tells why a Job failed: its own words, the warnings that add to them,
// and its pods' containers with their logs. It returns the error of the step.
func (f *follower) failed(ctx context.Context, state health.State) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logGrace)
	defer cancel()
	message := state.Message
	if c := f.t.job; c.Action == plan.Unchanged && !c.Job.WillRun && c.Job.Last == plan.Failed {
		message = "stays failed, it is unchanged and does not run again: " + message
	}
	pods, err := f.cluster.Pods(ctx, f.t.ref.Namespace, f.uid)
	if err != nil {
		f.tell(report.Event{Type: report.Notice, Message: err.Error()})
	}
	f.tellWarnings(ctx, pods, state)
	if pod, failed := lastFailed(pods); pod != nil {
		for _, c := range failed {
			message += fmt.Sprintf("; container %s of pod %s: exit code %d (%s)", c.Name, c.Pod, c.ExitCode, c.Reason)
			if said := strings.TrimSpace(c.Message); said != "" {
				message += ": " + said
			}
			f.showTail(ctx, f.t.ref, f.uid, pod, c)
		}
	}
	f.tell(report.Event{Type: report.JobFailed, Message: message, Seconds: since(f.start)})
	return fmt.Errorf("%s failed", f.t.ref)
}

// tellWarnings tells of the warnings that matter for a failure and were not told.
func (f *follower) tellWarnings(ctx context.Context, pods []corev1.Pod, state health.State) {
	warnings, err := f.cluster.Warnings(ctx, f.t.ref.Namespace)
	if err != nil {
		return // It was told when they could not be watched.
	}
	about := map[string]bool{f.uid: true}
	for i := range pods {
		about[string(pods[i].UID)] = true
	}
	for _, e := range mattering(warnings, about, state.Message) {
		t := trouble{reason: e.Reason, message: e.Message}
		if e.InvolvedObject.Kind == "Pod" {
			t.pod = e.InvolvedObject.Name
		}
		f.tellTrouble(t)
	}
}

// lastFailed returns the youngest pod in which a container failed.
func lastFailed(pods []corev1.Pod) (*corev1.Pod, []cluster.Container) {
	for i := len(pods) - 1; i >= 0; i-- {
		var failed []cluster.Container
		for _, c := range cluster.Containers(&pods[i]) {
			if c.Failed() {
				failed = append(failed, c)
			}
		}
		if len(failed) > 0 {
			return &pods[i], failed
		}
	}
	return nil, nil
}

// showTail shows the last lines of a failed container. With LogsAll they were
// shown before.
func (s *stepRun) showTail(ctx context.Context, ref object.Ref, uid string, pod *corev1.Pod, c cluster.Container) {
	if s.opts.Logs != LogsFailed {
		return
	}
	tail, err := s.cluster.LogTail(ctx, pod, c.Name, logLines)
	if err != nil {
		tail = fmt.Sprintf("(the log cannot be read: %v)", err)
	}
	for line := range strings.Lines(tail) {
		s.logLine(ref, uid, c.Pod, c.Name, line)
	}
}

func (s *stepRun) logLine(ref object.Ref, uid, pod, container, line string) {
	s.emit(report.Event{Type: report.JobLog, Object: &ref, UID: uid, Message: fmt.Sprintf("%s/%s: %s", pod, container, strings.TrimRight(line, "\r\n"))})
}

// logStreams are the logs of one Job that are being followed. A nil one follows
// nothing.
type logStreams struct {
	step *stepRun
	ref  object.Ref
	uid  string
	// stream shows one log to its end. cancel ends all of them.
	stream   func(cluster.Container)
	cancel   context.CancelFunc
	followed map[string]bool
	streams  sync.WaitGroup
}

// streamLogs begins to follow the logs of a Job, with LogsAll. The streams
// outlive ctx, so that what was written before its end is still shown.
func (s *stepRun) streamLogs(ctx context.Context, ref object.Ref, uid string) *logStreams {
	if s.opts.Logs != LogsAll {
		return nil
	}
	l := &logStreams{step: s, ref: ref, uid: uid, followed: map[string]bool{}}
	ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l.stream = func(c cluster.Container) { l.copy(ctx, c) }
	return l
}

// follow begins to show the log of every container of the pod that has one.
func (l *logStreams) follow(pod *corev1.Pod) {
	if l == nil {
		return
	}
	for _, c := range cluster.Containers(pod) {
		if name := fmt.Sprintf("%s/%s/%d", c.Pod, c.Name, c.Restarts); c.Started && !l.followed[name] {
			l.followed[name] = true
			l.streams.Go(func() { l.stream(c) })
		}
	}
}

// finish waits until everything that the Job's pods wrote has been shown, but
// not for long.
func (l *logStreams) finish(ctx context.Context) {
	if l == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logGrace)
	defer cancel()
	if pods, err := l.step.cluster.Pods(ctx, l.ref.Namespace, l.uid); err == nil {
		for i := range pods {
			l.follow(&pods[i])
		}
	}
	late := time.AfterFunc(logGrace, l.cancel)
	defer late.Stop()
	l.streams.Wait()
}

// stop ends following at once.
func (l *logStreams) stop() {
	if l != nil {
		l.cancel()
		l.streams.Wait()
	}
}

func (l *logStreams) copy(ctx context.Context, c cluster.Container) {
	stream, err := l.step.cluster.LogStream(ctx, l.ref.Namespace, c.Pod, c.Name)
	if err != nil {
		if ctx.Err() == nil {
			l.step.logLine(l.ref, l.uid, c.Pod, c.Name, fmt.Sprintf("(the log cannot be read: %v)", err))
		}
		return
	}
	defer func() { _ = stream.Close() }()
	for lines := bufio.NewReader(stream); ; {
		line, err := lines.ReadString('\n')
		if line != "" {
			l.step.logLine(l.ref, l.uid, c.Pod, c.Name, line)
		}
		if err != nil {
			return
		}
	}
}
