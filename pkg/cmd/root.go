// Package cmd holds the commands: flags to requests, errors to exit codes.
package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/kubectl/pkg/util/templates"
	"k8s.io/kubectl/pkg/util/term"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
)

// Main runs the command line and returns the exit code.
func Main(ctx context.Context, args []string, streams genericiooptions.IOStreams) int {
	root := newRoot(streams) //nolint:contextcheck // cobra hands ctx to the commands when they run
	root.SetArgs(args)
	c, err := root.ExecuteContextC(ctx)
	if mistake, is := errors.AsType[*usageError](err); is {
		err = usage(c, mistake)
	}
	code, message := exit(ctx, err)
	if message != "" {
		_, _ = fmt.Fprintln(streams.ErrOut, message)
	}
	return code
}

// app is what every command shares.
type app struct {
	config  *genericclioptions.ConfigFlags
	streams genericiooptions.IOStreams
	color   string
}

func newRoot(streams genericiooptions.IOStreams) *cobra.Command {
	a := &app{config: genericclioptions.NewConfigFlags(true), streams: streams}
	root := &cobra.Command{
		Use:         "kubectl-fluxjob",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl fluxjob"},
		Short:       "Plan and apply Flux Kustomizations that have Jobs",
		Long: templates.LongDesc(`
			Plan and apply Flux Kustomizations that have Jobs.

			plan renders the Kustomizations as kustomize-controller would, compares them
			with the live cluster and marks the Jobs that will run, be recreated, stay
			failed or block. apply runs the plan in dependency order and waits on each Job.`),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return c.Help()
		},
		PersistentPreRun: func(*cobra.Command, []string) {
			klog.SetLogger(logr.Discard())
		},
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	a.config.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&a.color, "color", "auto", "When to use colour: auto, always or never.")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usagef("%s", err)
	})

	groups := templates.CommandGroups{
		{Message: "Commands:", Commands: []*cobra.Command{newPlan(a), newApply(a), newRerun(a)}},
		{Message: "Other commands:", Commands: []*cobra.Command{newHistory(a), newUnlock(a), newVersion(a)}},
	}
	groups.Add(root)
	templates.ActsAsRootCommand(root, []string{"options"}, groups...)
	root.AddCommand(newOptions(streams))
	help := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		c.SetOut(spoken{term.NewResponsiveWriter(streams.Out)})
		help(c, args)
	})
	return root
}

// spoken writes the name of the binary as it is typed after kubectl. kubectl's
// templates take it from the command and not from its display name.
type spoken struct{ io.Writer }

func (s spoken) Write(data []byte) (int, error) {
	_, err := s.Writer.Write(bytes.ReplaceAll(data, []byte("kubectl-fluxjob"), []byte("kubectl fluxjob")))
	return len(data), err
}

// newOptions lists the flags that every command has, as kubectl does.
func newOptions(streams genericiooptions.IOStreams) *cobra.Command {
	c := &cobra.Command{
		Use:   "options",
		Short: "List the flags that every command has",
		Run:   func(c *cobra.Command, _ []string) { _ = c.Usage() },
	}
	c.SetOut(streams.Out)
	c.SetErr(streams.Out)
	templates.UseOptionsTemplates(c)
	return c
}

// client connects to the cluster that the flags name. Warnings of the API
// server go to stderr, each once.
func (a *app) client() (*cluster.Client, error) {
	return cluster.New(a.config, rest.NewWarningWriter(a.streams.ErrOut, rest.WarningWriterOptions{Deduplicate: true}))
}

// holder says who runs this, and where.
func (a *app) holder(ctx context.Context, client *cluster.Client) cluster.Holder {
	who := client.WhoAmI(ctx)
	if who == "" {
		if u, err := user.Current(); err == nil {
			who = u.Username
		}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return cluster.Holder{Who: who, Where: fmt.Sprintf("%s (process %d)", host, os.Getpid())}
}

// namespace is that of -n, of the kubeconfig's context, or "default".
func (a *app) namespace() (string, error) {
	namespace, _, err := a.config.ToRawKubeConfigLoader().Namespace()
	return namespace, err
}

// colored decides whether a stream is written in colour.
func (a *app) colored(stream any) (bool, error) {
	switch a.color {
	case "always":
		return true, nil
	case "never":
		return false, nil
	case "auto":
		return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && printers.IsTerminal(stream), nil
	}
	return false, usagef("--color %q: use auto, always or never", a.color)
}
