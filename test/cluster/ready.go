package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// probeTimeout bounds one question whether a component is ready.
const probeTimeout = 2 * time.Second

// apiServerReady asks for /readyz, which anybody may.
func (s *supervisor) apiServerReady(ctx context.Context) error {
	return s.healthy(ctx, "https://"+address(s.ports.apiServer)+"/readyz")
}

// controllersReady is satisfied when the controllers run and one of them has
// made the service account that pods of the default namespace need.
func (s *supervisor) controllersReady(ctx context.Context) error {
	if err := s.healthy(ctx, "https://"+address(s.ports.controllerManager)+"/healthz"); err != nil {
		return err
	}
	client, err := newClient(s.layout.config(userAdmin))
	if err != nil {
		return err
	}
	_, err = client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get the service account: %w", err)
	}
	return nil
}

// nodeReady is satisfied when the node has reported itself ready.
func (s *supervisor) nodeReady(ctx context.Context) error {
	client, err := newClient(s.layout.config(userAdmin))
	if err != nil {
		return err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get the node: %w", err)
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return errors.New("the node is not ready")
}

// healthy asks a health endpoint once.
func (s *supervisor) healthy(ctx context.Context, url string) error {
	ca, err := os.ReadFile(s.layout.pki(caCert))
	if err != nil {
		return fmt.Errorf("read the CA's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := &http.Client{Timeout: probeTimeout, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, answer.Status)
	}
	return nil
}
