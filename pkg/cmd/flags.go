package cmd

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/kubectl/pkg/util/term"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/manifest"
	"github.com/fluxjob/kubectl-fluxjob/pkg/planner"
	"github.com/fluxjob/kubectl-fluxjob/pkg/present"
	"github.com/fluxjob/kubectl-fluxjob/pkg/source"
)

// defaultConcurrency is how many objects are compared at once. The API
// server's own priority and fairness bounds what that costs it.
const defaultConcurrency = 16

// planFlags are the flags that say what is planned, as typed. plan and apply
// have them in common.
type planFlags struct {
	filenames     []string
	recursive     bool
	recurse       bool
	localSources  []string
	replace       []string
	concurrency   int
	showUnchanged bool
}

func (f *planFlags) add(flags *pflag.FlagSet) {
	flags.StringSliceVarP(&f.filenames, "filename", "f", nil, "File or folder with Flux Kustomizations and their sources, or - for standard input; repeatable.")
	flags.BoolVarP(&f.recursive, "recursive", "R", false, "Read the folders of -f recursively.")
	flags.BoolVar(&f.recurse, "recurse", true, "Plan the Kustomizations that a Kustomization renders, too.")
	flags.StringArrayVar(&f.localSources, "local-source", nil, "[KIND/][NAMESPACE/]NAME=DIR: the tree at DIR stands in for that source; a bare DIR stands in for every source; repeatable. By default the Git work tree around the first file.")
	flags.StringSliceVar(&f.replace, "replace", nil, "Job to recreate whether it changed or not, as NAME or NAMESPACE/NAME; repeatable.")
	flags.IntVar(&f.concurrency, "concurrency", defaultConcurrency, "How many objects are compared at once.")
	flags.BoolVar(&f.showUnchanged, "show-unchanged", false, "List unchanged objects one by one.")
}

// request reads what the flags name. Names are the arguments of the command.
func (f *planFlags) request(a *app, names []string) (planner.Request, error) {
	req := planner.Request{Names: names, Recurse: f.recurse, Replace: f.replace, Concurrency: f.concurrency}
	switch {
	case len(f.filenames) == 0:
		return req, usagef("say which Kustomizations with -f FILE, -f FOLDER or -f -; reading them from the cluster is not supported yet")
	case f.concurrency < 1:
		return req, usagef("--concurrency %d: at least 1", f.concurrency)
	}
	namespace, err := a.namespace()
	if err != nil {
		return req, err
	}
	found, err := manifest.Read(manifest.Options{Filenames: f.filenames, Recursive: f.recursive, Namespace: namespace, Stdin: a.streams.In})
	if err != nil {
		return req, err
	}
	req.Kustomizations, req.SourceObjects = found.Kustomizations, found.Sources
	req.Sources, err = f.sources(req.Kustomizations)
	return req, err
}

func (f *planFlags) sources(ks []*manifest.Kustomization) (*source.Local, error) {
	if len(f.localSources) > 0 {
		return source.ParseLocal(f.localSources)
	}
	first := f.filenames[0]
	if first == manifest.Stdin {
		first = "."
	}
	var paths []string
	for _, k := range ks {
		if !slices.Contains(paths, k.Spec.Path) {
			paths = append(paths, k.Spec.Path)
		}
	}
	tree, err := source.Find(first, paths)
	if err != nil {
		return nil, fmt.Errorf("find the tree of the sources: %w", err)
	}
	return source.Everything(tree), nil
}

// make reads, renders and compares.
func (f *planFlags) make(ctx context.Context, a *app, names []string) (*planner.Result, *cluster.Client, error) {
	req, err := f.request(a, names)
	if err != nil {
		return nil, nil, err
	}
	client, err := a.client()
	if err != nil {
		return nil, nil, err
	}
	result, err := (&planner.Planner{Client: client}).Plan(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	warnings := printers.NewWarningPrinter(a.streams.ErrOut, printers.WarningPrinterOptions{Color: printers.AllowsColorOutput(a.streams.ErrOut)})
	for _, w := range result.Plan.Warnings {
		warnings.Print(fmt.Sprintf("%s (%s)", w.Message, w.Rule))
	}
	return result, client, nil
}

// style says how text is written to the stream.
func (f *planFlags) style(a *app, stream any) (present.Style, error) {
	color, err := a.colored(stream)
	style := present.Style{Color: color, ShowUnchanged: f.showUnchanged}
	if size := (term.TTY{Out: a.streams.Out}).GetSize(); size != nil && stream == any(a.streams.Out) {
		style.Width = int(size.Width)
	}
	return style, err
}
