package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
)

// runEtcd runs a single etcd that does not sync to disk: the state need not
// survive a power failure.
func runEtcd(ctx context.Context, args []string) error {
	cfg, err := etcdConfig(args)
	if err != nil {
		return err
	}
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	defer server.Close()
	select {
	case err := <-server.Err():
		return fmt.Errorf("run etcd: %w", err)
	case <-server.Server.StopNotify():
		return errors.New("etcd has stopped")
	case <-ctx.Done():
		return nil
	}
}

func etcdConfig(args []string) (*embed.Config, error) {
	cfg := embed.NewConfig()
	var client, peer string
	var tls transport.TLSInfo
	flags := flag.NewFlagSet(nameEtcd, flag.ContinueOnError)
	flags.StringVar(&cfg.Dir, "data-dir", "", "the data folder")
	flags.StringVar(&client, "client", "", "the URL for clients")
	flags.StringVar(&peer, "peer", "", "the URL for peers")
	flags.StringVar(&tls.TrustedCAFile, "ca", "", "the CA of clients and peers")
	flags.StringVar(&tls.CertFile, "cert", "", "the certificate")
	flags.StringVar(&tls.KeyFile, "key", "", "the certificate's key")
	if err := flags.Parse(args); err != nil {
		return nil, fmt.Errorf("read the flags: %w", err)
	}
	clientURL, err := url.Parse(client)
	if err != nil {
		return nil, fmt.Errorf("read the client URL: %w", err)
	}
	peerURL, err := url.Parse(peer)
	if err != nil {
		return nil, fmt.Errorf("read the peer URL: %w", err)
	}
	tls.ClientCertAuth = true
	cfg.ClientTLSInfo, cfg.PeerTLSInfo = tls, tls
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*clientURL}, []url.URL{*clientURL}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*peerURL}, []url.URL{*peerURL}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.UnsafeNoFsync = true
	cfg.LogLevel = "warn"
	return cfg, nil
}
