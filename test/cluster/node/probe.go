package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probeReadiness sets the container's readiness from its probe until ctx is
// done. Without a probe the container is ready while it runs.
func (w *podWorker) probeReadiness(ctx context.Context, r *containerRecord, cmd command) {
	probe := r.spec.ReadinessProbe
	if probe == nil || !pauseFor(ctx, seconds(probe.InitialDelaySeconds)) {
		return
	}
	ticker := time.NewTicker(max(seconds(probe.PeriodSeconds), time.Second))
	defer ticker.Stop()
	for successes, failures := int32(0), int32(0); ; {
		if err := runProbe(ctx, probe, &r.spec, cmd); err == nil {
			successes, failures = successes+1, 0
		} else {
			successes, failures = 0, failures+1
		}
		w.applyProbe(ctx, r, successes >= max(probe.SuccessThreshold, 1), failures >= max(probe.FailureThreshold, 1))
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// applyProbe changes the readiness once a threshold is reached.
func (w *podWorker) applyProbe(ctx context.Context, r *containerRecord, passed, failed bool) {
	if !passed && !failed {
		return
	}
	w.set(func() {
		if r.state.Running != nil && ctx.Err() == nil {
			r.ready = passed
		}
	})
}

// runProbe asks once whether the container is ready.
func runProbe(ctx context.Context, probe *corev1.Probe, c *corev1.Container, cmd command) error {
	ctx, cancel := context.WithTimeout(ctx, max(seconds(probe.TimeoutSeconds), time.Second))
	defer cancel()
	switch {
	case probe.Exec != nil:
		return probeExec(ctx, probe.Exec.Command, cmd)
	case probe.HTTPGet != nil:
		return probeHTTP(ctx, probe.HTTPGet, c)
	case probe.TCPSocket != nil:
		return probeTCP(ctx, probe.TCPSocket, c)
	default:
		return nil
	}
}

func probeExec(ctx context.Context, argv []string, cmd command) error {
	path, err := lookPath(argv[0], cmd.env, cmd.dir)
	if err != nil {
		return err
	}
	probe := exec.CommandContext(ctx, path, argv[1:]...)
	probe.Env, probe.Dir = cmd.env, cmd.dir
	probe.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	probe.Cancel = func() error { return syscall.Kill(-probe.Process.Pid, syscall.SIGKILL) }
	probe.WaitDelay = time.Second
	if err := probe.Run(); err != nil {
		return fmt.Errorf("run the probe: %w", err)
	}
	return nil
}

func probeTCP(ctx context.Context, action *corev1.TCPSocketAction, c *corev1.Container) error {
	address, err := probeAddress(action.Host, action.Port, c)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("dial the probe's port: %w", err)
	}
	return conn.Close()
}

// probeHTTP takes every answer from 200 to 399 as ready. Like a kubelet it does
// not verify the server's certificate.
func probeHTTP(ctx context.Context, action *corev1.HTTPGetAction, c *corev1.Container) error {
	address, err := probeAddress(action.Host, action.Port, c)
	if err != nil {
		return err
	}
	scheme := "http"
	if action.Scheme == corev1.URISchemeHTTPS {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+action.Path, nil)
	if err != nil {
		return fmt.Errorf("make the probe's request: %w", err)
	}
	for _, header := range action.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return fmt.Errorf("ask the probe's address: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode < 200 || answer.StatusCode >= 400 {
		return fmt.Errorf("the probe's address answered %s", answer.Status)
	}
	return nil
}

// probeAddress resolves a probe's port, which may be a name, on loopback.
func probeAddress(host string, port intstr.IntOrString, c *corev1.Container) (string, error) {
	if host == "" {
		host = loopback
	}
	if port.Type == intstr.Int {
		return net.JoinHostPort(host, strconv.Itoa(port.IntValue())), nil
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return net.JoinHostPort(host, strconv.Itoa(int(p.ContainerPort))), nil
		}
	}
	return "", fmt.Errorf("the container has no port named %q", port.StrVal)
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }
