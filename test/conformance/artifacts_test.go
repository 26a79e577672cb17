package conformance

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
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
// status.
func (a *artifacts) put(t *testing.T, namespace, revision, dir string) map[string]any {
	t.Helper()
	data, err := pack(dir)
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

// pack returns the regular files below dir as a tar.gz.
func pack(dir string) ([]byte, error) {
	var data bytes.Buffer
	zipped := gzip.NewWriter(&data)
	archive := tar.NewWriter(zipped)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if err := archive.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		_, err = archive.Write(content)
		return err
	})
	err = errors.Join(err, archive.Close(), zipped.Close())
	return data.Bytes(), err
}
