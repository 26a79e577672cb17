package conformance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/tar"
)

// artifacts serves the trees of all cases, as source-controller would.
type artifacts struct {
	address string
	server  *http.Server
	mu      sync.Mutex
	byPath  map[string][]byte
}

func serveArtifacts() (*artifacts, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &artifacts{address: listener.Addr().String(), byPath: map[string][]byte{}}
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: patience}
	go func() { _ = a.server.Serve(listener) }()
	return a, nil
}

func (a *artifacts) close() { _ = a.server.Close() }

// ServeHTTP answers with the artifact at the path.
func (a *artifacts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	data, found := a.byPath[r.URL.Path]
	a.mu.Unlock()
	if !found {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(data)
}

// put packs the tree at dir and returns the artifact that stands in a source's
// status. ignore is the source's spec.ignore.
func (a *artifacts) put(t *testing.T, namespace, revision, dir, ignore string) map[string]any {
	t.Helper()
	data, err := pack(dir, ignore)
	if err != nil {
		t.Fatalf("pack the artifact: %v", err)
	}
	sum := sha256.Sum256(data)
	path := fmt.Sprintf("gitrepository/%s/%s/%s.tar.gz", namespace, sourceName, hex.EncodeToString(sum[:8]))
	a.mu.Lock()
	a.byPath["/"+path] = data
	a.mu.Unlock()
	return map[string]any{
		"path": path, "url": "http://source-controller.flux-system.svc/" + path, "revision": revision,
		"digest": "sha256:" + hex.EncodeToString(sum[:]), "size": int64(len(data)),
		"lastUpdateTime": time.Now().UTC().Format(time.RFC3339),
	}
}

// pack returns what source-controller v1.9.5 makes of a clone at dir: see
// reconcileArtifact in its gitrepository_controller.go, and SourceIgnoreFilter
// and Archive of fluxcd/pkg/artifact. The patterns are loaded and matched by the
// package that these use, fluxcd/pkg/sourceignore; Tar takes, as Archive, folders
// and regular files alone.
func pack(dir, ignore string) ([]byte, error) {
	domain := strings.Split(dir, string(filepath.Separator))
	patterns, err := sourceignore.LoadIgnorePatterns(dir, domain)
	if err != nil {
		return nil, err
	}
	patterns = append(patterns, sourceignore.ReadPatterns(strings.NewReader(ignore), domain)...)
	matcher := sourceignore.NewDefaultMatcher(nil, domain)
	if len(patterns) > 0 {
		matcher = sourceignore.NewMatcher(append(sourceignore.VCSPatterns(domain), patterns...))
	}
	var data bytes.Buffer
	_, err = tar.Tar(dir, &data, tar.WithFilter(func(path string, info fs.FileInfo) bool {
		return matcher.Match(strings.Split(path, string(filepath.Separator)), info.IsDir())
	}))
	return data.Bytes(), err
}
