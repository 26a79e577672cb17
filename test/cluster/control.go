package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// controlTimeout bounds a request to the supervisor; a restart of the API server
// is the longest.
const controlTimeout = 60 * time.Second

// errNotRunning is the error of a request when no supervisor answers.
var errNotRunning = errors.New("no cluster is running")

// controlFile tells other commands how to reach the supervisor. It is readable
// by its owner only: who has the token may stop the cluster.
type controlFile struct {
	Address string `json:"address"`
	Token   string `json:"token"`
}

// serveControl answers other commands until ctx is done. Stopping is done by
// calling stop.
func serveControl(ctx context.Context, l layout, s *supervisor, stop func()) error {
	listener, err := net.Listen("tcp", address(0))
	if err != nil {
		return fmt.Errorf("listen for other commands: %w", err)
	}
	file := controlFile{Address: listener.Addr().String(), Token: rand.Text()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /down", func(w http.ResponseWriter, _ *http.Request) {
		// The answer goes out first: the process ends soon after.
		_ = http.NewResponseController(w).Flush()
		stop()
	})
	mux.HandleFunc("POST /restart-apiserver", func(w http.ResponseWriter, r *http.Request) {
		if err := s.restartAPIServer(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	server := &http.Server{
		Handler:           authorized(file.Token, mux),
		ReadHeaderTimeout: controlTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	context.AfterFunc(ctx, func() { _ = server.Shutdown(context.WithoutCancel(ctx)) })
	go func() { _ = server.Serve(listener) }()
	text, err := json.Marshal(file)
	if err != nil {
		return fmt.Errorf("encode the control file: %w", err)
	}
	if err := os.WriteFile(l.control(), text, 0o600); err != nil {
		return fmt.Errorf("write the control file: %w", err)
	}
	return nil
}

func authorized(token string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
			http.Error(w, "not authorized", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ask sends a request to the supervisor of a folder.
func ask(ctx context.Context, l layout, method, path string) error {
	text, err := os.ReadFile(l.control())
	if errors.Is(err, os.ErrNotExist) {
		return errNotRunning
	}
	if err != nil {
		return fmt.Errorf("read the control file: %w", err)
	}
	var file controlFile
	if err := json.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("%w: decode the control file: %w", errNotRunning, err)
	}
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+file.Address+path, nil)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+file.Token)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotRunning, err)
	}
	defer func() { _ = answer.Body.Close() }()
	return readAnswer(answer)
}

// readAnswer turns an answer into an error. A port that another program has by
// now is not our supervisor.
func readAnswer(answer *http.Response) error {
	switch answer.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusInternalServerError:
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			return fmt.Errorf("read the supervisor's answer: %w", err)
		}
		return errors.New(strings.TrimSpace(string(text)))
	default:
		return fmt.Errorf("%w: the port answers %s", errNotRunning, answer.Status)
	}
}
