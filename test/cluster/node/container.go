package node

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// The restart pauses are much shorter than a kubelet's 10 seconds to 5 minutes:
// this is a node for tests.
const (
	firstBackOff = time.Second
	longBackOff  = 4 * time.Second
)

// What a kubelet keeps of a termination message.
const (
	messageBytes     = 4096
	messageLogBytes  = 2048
	messageLogLines  = 80
	startErrorCode   = 128
	reasonStartError = "StartError"
)

// runContainer runs a container until it must not be restarted or ctx is done,
// and tells whether it succeeded.
func (w *podWorker) runContainer(ctx context.Context, r *containerRecord, onStart func()) bool {
	for pause := firstBackOff; ; pause = min(2*pause, longBackOff) {
		code, ran := w.runOnce(ctx, r, onStart)
		if !ran || ctx.Err() != nil || !w.restarts(r, code) {
			return ran && code == 0
		}
		message := fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", pause, r.spec.Name, w.podName())
		w.set(func() { r.wait("CrashLoopBackOff", message) })
		w.node.event(w.current(), corev1.EventTypeWarning, "BackOff", message)
		if !pauseFor(ctx, pause) {
			return false
		}
	}
}

func (w *podWorker) restarts(r *containerRecord, code int32) bool {
	if r.init && !r.sidecar && code == 0 {
		return false
	}
	return podutil.ContainerShouldRestart(r.spec, w.current().Spec, code)
}

// runOnce starts the container once and waits for its end. It returns false
// when ctx was done before there was anything to start.
func (w *podWorker) runOnce(ctx context.Context, r *containerRecord, onStart func()) (code int32, ran bool) {
	if !w.awaitImage(ctx, r) {
		return 0, false
	}
	cmd, ok := w.awaitCommand(ctx, r)
	if !ok {
		return 0, false
	}
	log, err := w.openLog(r)
	if err != nil {
		return w.startFailed(r, err), true
	}
	if len(r.spec.Command) == 0 {
		return w.runEntrypoint(ctx, r, log, onStart), true
	}
	p, err := startProcess(cmd, log, w.node.cfg.Groups)
	if err != nil {
		log.close()
		return w.startFailed(r, err), true
	}
	w.started(r, p.started, onStart)
	probeCtx, stopProbe := context.WithCancel(ctx)
	defer stopProbe()
	go w.probeReadiness(probeCtx, r, cmd)
	w.await(ctx, p)
	end := w.terminated(ctx, r, p, log)
	w.set(func() { r.end(end) })
	return p.exitCode, true
}

// await returns when the process has ended; it ends it when ctx is done.
func (w *podWorker) await(ctx context.Context, p *process) {
	select {
	case <-p.done:
		return
	case <-ctx.Done():
	}
	p.kill(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-w.killCtx.Done():
		p.kill(syscall.SIGKILL)
		<-p.done
	}
}

// runEntrypoint stands in for the entrypoint of an image, which is unknown here:
// the container runs until it is stopped.
func (w *podWorker) runEntrypoint(ctx context.Context, r *containerRecord, log *logFile, onStart func()) int32 {
	started := time.Now()
	w.started(r, started, onStart)
	probeCtx, stopProbe := context.WithCancel(ctx)
	defer stopProbe()
	go w.probeReadiness(probeCtx, r, command{env: assignments(hostEnv()), dir: w.rootDir()})
	<-ctx.Done()
	log.close()
	w.set(func() {
		r.end(corev1.ContainerStateTerminated{
			Reason: "Completed", StartedAt: metav1.NewTime(started), FinishedAt: metav1.Now(),
		})
	})
	return 0
}

func (w *podWorker) started(r *containerRecord, at time.Time, onStart func()) {
	id := w.containerID(r)
	w.set(func() { r.run(id, at) })
	w.node.event(w.current(), corev1.EventTypeNormal, "Started", "Started container "+r.spec.Name)
	if onStart != nil {
		onStart()
	}
}

// startFailed records a command that could not be started, as a container
// runtime reports it.
func (w *podWorker) startFailed(r *containerRecord, err error) int32 {
	id := w.containerID(r)
	w.set(func() {
		r.id = id
		r.end(corev1.ContainerStateTerminated{
			ExitCode: startErrorCode, Reason: reasonStartError, Message: err.Error(),
			StartedAt: metav1.NewTime(time.Unix(0, 0)), FinishedAt: metav1.Now(),
		})
	})
	w.node.event(w.current(), corev1.EventTypeWarning, "Failed", "Error: "+err.Error())
	return startErrorCode
}

// terminated describes the end of a process.
func (w *podWorker) terminated(ctx context.Context, r *containerRecord, p *process, log *logFile) corev1.ContainerStateTerminated {
	t := corev1.ContainerStateTerminated{
		ExitCode: p.exitCode, Signal: p.signal, Reason: "Completed",
		StartedAt: metav1.NewTime(p.started), FinishedAt: metav1.NewTime(p.finished),
	}
	if p.exitCode != 0 {
		t.Reason = "Error"
	}
	if text, err := os.ReadFile(w.terminationLog(r)); err == nil {
		t.Message = tailBytes(string(text), messageBytes)
	}
	fallback := r.spec.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError
	if t.Message == "" && fallback && p.exitCode != 0 {
		t.Message = log.lastLines(ctx, messageLogLines, messageLogBytes)
	}
	return t
}

// openLog counts the start and creates its log and an empty termination log.
func (w *podWorker) openLog(r *containerRecord) (*logFile, error) {
	attempt := len(r.logs)
	log, err := newLogFile(filepath.Join(w.logDir, r.spec.Name, strconv.Itoa(attempt)+".log"))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(w.terminationLog(r), nil, 0o600); err != nil {
		log.close()
		return nil, fmt.Errorf("create the termination log: %w", err)
	}
	w.set(func() {
		r.logs = append(r.logs, log)
		r.restarts = int32(min(attempt, math.MaxInt32))
	})
	return log, nil
}

// command resolves the environment and expands the command.
func (w *podWorker) command(ctx context.Context, r *containerRecord) (command, error) {
	pod := w.current()
	declared, err := newEnvResolver(w.node.client, pod, &r.spec, w.node.cfg.Name).resolve(ctx)
	if err != nil {
		return command{}, err
	}
	env := hostEnv()
	env["HOSTNAME"] = pod.Name
	env["TERMINATION_LOG"] = w.terminationLog(r)
	maps.Copy(env, declared)
	words := slices.Concat(r.spec.Command, r.spec.Args)
	return command{argv: expandAll(words, declared), env: assignments(env), dir: w.workingDir(r)}, nil
}

// workingDir is the container's workingDir when the host has it, otherwise the
// pod's own folder.
func (w *podWorker) workingDir(r *containerRecord) string {
	if info, err := os.Stat(r.spec.WorkingDir); err == nil && info.IsDir() && filepath.IsAbs(r.spec.WorkingDir) {
		return r.spec.WorkingDir
	}
	return w.rootDir()
}

func (w *podWorker) rootDir() string { return filepath.Join(w.workDir, "root") }

func (w *podWorker) terminationDir() string { return filepath.Join(w.workDir, "termination") }

func (w *podWorker) terminationLog(r *containerRecord) string {
	return filepath.Join(w.terminationDir(), r.spec.Name)
}

func (w *podWorker) containerID(r *containerRecord) string {
	return fmt.Sprintf("process://%s-%s-%d", w.current().UID, r.spec.Name, len(r.logs))
}

func (w *podWorker) podName() string {
	pod := w.current()
	return strings.Join([]string{pod.Name, pod.Namespace}, "_")
}

// pauseFor waits and tells whether ctx is still alive.
func pauseFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
