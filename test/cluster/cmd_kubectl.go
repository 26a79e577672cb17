package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"

	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

// runKubectl runs kubectl, plugins included, against the cluster. The kubeconfig
// goes through the environment, so that plugins see it too.
func runKubectl(l layout, args []string) error {
	if _, err := os.Stat(l.kubeconfig()); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w in %s", errNotRunning, l.dir)
	}
	if err := os.Setenv("KUBECONFIG", l.kubeconfig()); err != nil {
		return fmt.Errorf("set KUBECONFIG: %w", err)
	}
	// An interrupt ends kubectl, as it does by itself.
	signal.Reset()
	// kubectl looks at the process's arguments, for plugins and verbosity.
	os.Args = append([]string{"kubectl"}, args...)
	if _, err := logs.GlogSetter(kubectl.GetLogVerbosity(os.Args)); err != nil {
		return fmt.Errorf("set the verbosity: %w", err)
	}
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
		return exitCode(1)
	}
	return nil
}
