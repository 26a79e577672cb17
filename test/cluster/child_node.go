package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fluxjob/kubectl-fluxjob/test/cluster/node"
)

// runNode runs the process node.
func runNode(ctx context.Context, args []string, groups node.Groups, logs io.Writer) error {
	cfg := node.Config{Name: nodeName, ClientName: apiClientName, Groups: groups}
	var kubeconfig string
	flags := flag.NewFlagSet(nameNode, flag.ContinueOnError)
	flags.StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API server")
	flags.StringVar(&cfg.WorkDir, "work-dir", "", "the folder of the pods' working folders")
	flags.StringVar(&cfg.LogDir, "log-dir", "", "the folder of the containers' logs")
	flags.StringVar(&cfg.CertFile, "cert", "", "the serving certificate")
	flags.StringVar(&cfg.KeyFile, "key", "", "the serving certificate's key")
	flags.StringVar(&cfg.ClientCAFile, "client-ca", "", "the CA of the API server's client certificate")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read the flags: %w", err)
	}
	client, err := newClient(kubeconfig)
	if err != nil {
		return err
	}
	return node.New(cfg, client, newLogger(logs)).Run(ctx)
}

// newClient makes an unthrottled client: API priority and fairness does that
// job in the server.
func newClient(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make the API client: %w", err)
	}
	return client, nil
}
