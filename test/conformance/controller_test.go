package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/test/harness"
)

// controller is the running kustomize-controller, seen through its log.
type controller struct {
	stop func() error
	mu   sync.Mutex
	// changed is closed and replaced when there is a new line.
	changed chan struct{}
	lines   map[object.Key][]logLine
	ended   bool
}

// logLine is what the tests read of one line of the log.
type logLine struct {
	Message       string            `json:"msg"`
	Error         string            `json:"error"`
	Output        map[string]string `json:"output"`
	Revision      string            `json:"revision"`
	Kustomization object.Key        `json:"Kustomization"`
}

// The lines of the log that the tests look for, by their beginnings.
const (
	lineWatching  = "Starting workers"
	lineSuspended = "Reconciliation is suspended"
	lineApplied   = "server-side apply completed"
	linePruned    = "garbage collection completed: "
	lineFinished  = "Reconciliation finished"
	lineFailed    = "Reconciliation failed"
	lineStalled   = "Reconciler error: terminal error"
	lineUnready   = "Dependencies do not meet ready condition"
)

// startController starts the controller and waits until it watches.
func startController(ctx context.Context, program, dir, artifacts string) (*controller, error) {
	metrics, err := freeAddress()
	if err != nil {
		return nil, err
	}
	health, err := freeAddress()
	if err != nil {
		return nil, err
	}
	log, logWriter, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	script := exec.Command("sh", "-c", `"$0" "$@" >&2 & controller=$!; cat >/dev/null; kill $controller; wait $controller`, program,
		"--enable-leader-election=false", "--metrics-addr="+metrics, "--health-addr="+health, "--watch-all-namespaces=true",
		"--requeue-dependency=1s", "--concurrent=16", "--kube-api-qps=500", "--kube-api-burst=1000", "--log-level=info", "--log-encoding=json")
	script.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "RUNTIME_NAMESPACE=flux-system",
		"SOURCE_CONTROLLER_LOCALHOST="+artifacts, "TMPDIR="+dir, "HOME="+dir)
	script.Stderr = logWriter
	c := &controller{changed: make(chan struct{}), lines: map[object.Key][]logLine{}}
	c.stop, err = harness.Guard(script)
	_ = logWriter.Close()
	if err != nil {
		return nil, err
	}
	copied, err := os.Create(filepath.Join(dir, "kustomize-controller.log"))
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	go c.read(io.TeeReader(log, copied))
	_, err = c.await(ctx, object.Key{}, func(lines []logLine) bool { return find(lines, lineWatching) != nil })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the controller: %w", err), c.stop())
	}
	return c, nil
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// read takes in the log until it ends.
func (c *controller) read(log io.Reader) {
	reader := bufio.NewReader(log)
	for {
		text, err := reader.ReadBytes('\n')
		var line logLine
		known := json.Unmarshal(text, &line) == nil
		if line.Message == "Reconciler error" {
			line.Message += ": " + line.Error
		}
		c.mu.Lock()
		if known {
			c.lines[line.Kustomization] = append(c.lines[line.Kustomization], line)
		}
		c.ended = err != nil
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// mark returns how many lines there are about the Kustomization, for since.
func (c *controller) mark(key object.Key) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.lines[key])
}

// await waits until the lines about the Kustomization are as they should be,
// and returns them. Lines about none have the zero key.
func (c *controller) await(ctx context.Context, key object.Key, done func([]logLine) bool) ([]logLine, error) {
	for {
		c.mu.Lock()
		lines, changed, ended := c.lines[key], c.changed, c.ended
		c.mu.Unlock()
		switch {
		case done(lines):
			return lines, nil
		case ended:
			return lines, errors.New("the controller has ended")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return lines, ctx.Err()
		}
	}
}

// ended says whether the lines tell of the end of a reconciliation.
func ended(lines []logLine) bool {
	return find(lines, lineFinished) != nil || find(lines, lineFailed) != nil || find(lines, lineStalled) != nil
}

// find returns the last line that begins so, or nil.
func find(lines []logLine, beginning string) *logLine {
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.HasPrefix(lines[i].Message, beginning) {
			return &lines[i]
		}
	}
	return nil
}
