package cmd

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

// Version is the release, set by the linker; without it the module's own
// version is shown.
var Version = ""

// controllerVersion is the kustomize-controller whose rules are followed.
const controllerVersion = "v1.9.5 (Flux 2.9)"

func newVersion(a *app) *cobra.Command {
	var clientOnly bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the client, the server and Flux",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a.printClient()
			if clientOnly {
				return nil
			}
			return a.printServer(c.Context())
		},
	}
	c.Flags().BoolVar(&clientOnly, "client", false, "Print the client's version alone, without a request.")
	return c
}

func (a *app) printClient() {
	version, commit := Version, ""
	if info, found := debug.ReadBuildInfo(); found {
		if version == "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = ", commit " + s.Value
			}
		}
	}
	_, _ = fmt.Fprintf(a.streams.Out, "Client: %s%s, %s %s/%s\n", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	_, _ = fmt.Fprintf(a.streams.Out, "Rules of kustomize-controller: %s\n", controllerVersion)
}

func (a *app) printServer(ctx context.Context) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	info, err := client.Info(ctx)
	if err != nil {
		return fmt.Errorf("read the server's version: %w", err)
	}
	_, _ = fmt.Fprintf(a.streams.Out, "Server: %s\n", info.Version)
	controller, err := client.Get(ctx, object.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "flux-system", Name: "kustomize-controller"})
	flux := "not found in namespace flux-system"
	if err == nil {
		flux = "kustomize-controller in flux-system"
		if v := controller.GetLabels()["app.kubernetes.io/version"]; v != "" {
			flux = v
		}
	}
	_, _ = fmt.Fprintf(a.streams.Out, "Flux: %s\n", flux)
	return nil
}
