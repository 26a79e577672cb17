package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

// readHeaderTimeout bounds how long a client may take to say what it wants.
const readHeaderTimeout = 10 * time.Second

// listen opens the loopback port that the API server asks for logs. Only a
// client with a certificate of the cluster's CA and the configured name gets in.
func (n *Node) listen() (net.Listener, error) {
	certificate, err := tls.LoadX509KeyPair(n.cfg.CertFile, n.cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("load the serving certificate: %w", err)
	}
	authority, err := os.ReadFile(n.cfg.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("read the client CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("no certificate in %s", n.cfg.ClientCAFile)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return tls.NewListener(listener, &tls.Config{
		MinVersion:       tls.VersionTLS12,
		Certificates:     []tls.Certificate{certificate},
		ClientAuth:       tls.RequireAndVerifyClientCert,
		ClientCAs:        pool,
		VerifyConnection: n.verifyClient,
	}), nil
}

func (n *Node) verifyClient(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 || state.PeerCertificates[0].Subject.CommonName != n.cfg.ClientName {
		return errors.New("the client is not the API server")
	}
	return nil
}

// serve answers until ctx is done.
func (n *Node) serve(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", n.containerLogs)
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: readHeaderTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve logs: %w", err)
	}
	return nil
}

// containerLogs streams the log of one container.
func (n *Node) containerLogs(w http.ResponseWriter, r *http.Request) {
	opts, err := parseLogOptions(r.URL.Query(), time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	pod := r.PathValue("pod")
	worker := n.workerByName(r.PathValue("namespace"), pod)
	if worker == nil {
		http.Error(w, fmt.Sprintf("pod %q does not exist", pod), http.StatusNotFound)
		return
	}
	log, err := worker.containerLog(r.PathValue("container"), opts.previous)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	flush := func() { _ = http.NewResponseController(w).Flush() }
	if err := log.stream(r.Context(), w, flush, opts); err != nil && r.Context().Err() == nil {
		n.log.Warn("could not stream a log", "pod", pod, "error", err)
	}
}

// containerLog finds the log of a container of the pod.
func (w *podWorker) containerLog(container string, previous bool) (*logFile, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.records {
		if r.spec.Name == container {
			return r.log(w.pod.Name, previous)
		}
	}
	return nil, fmt.Errorf("container %q in pod %q is not available", container, w.pod.Name)
}

// parseLogOptions reads the parameters that the API server passes on.
func parseLogOptions(query url.Values, now time.Time) (logOptions, error) {
	opts := logOptions{tail: -1, limit: -1}
	var errs []error
	flag := func(name string, into *bool) {
		if text := query.Get(name); text != "" {
			value, err := strconv.ParseBool(text)
			*into, errs = value, append(errs, err)
		}
	}
	number := func(name string, into *int64) {
		if text := query.Get(name); text != "" {
			value, err := strconv.ParseInt(text, 10, 64)
			*into, errs = value, append(errs, err)
		}
	}
	flag("follow", &opts.follow)
	flag("previous", &opts.previous)
	flag("timestamps", &opts.timestamps)
	number("tailLines", &opts.tail)
	number("limitBytes", &opts.limit)
	sinceSeconds := int64(-1)
	number("sinceSeconds", &sinceSeconds)
	if sinceSeconds >= 0 {
		opts.since = now.Add(-time.Duration(sinceSeconds) * time.Second)
	}
	if text := query.Get("sinceTime"); text != "" {
		since, err := time.Parse(time.RFC3339, text)
		opts.since, errs = since, append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return logOptions{}, fmt.Errorf("read the log options: %w", err)
	}
	return opts, nil
}
