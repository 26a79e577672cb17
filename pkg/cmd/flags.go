package cmd

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/kubectl/pkg/util/term"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/manifest"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
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

// typed returns what is asked for. Names are the arguments of the command.
func (f *planFlags) typed(a *app, names []string) (*plan.Request, error) {
	if len(f.filenames) == 0 {
		return nil, usagef("say which Kustomizations with -f FILE, -f FOLDER or -f -; reading them from the cluster is not supported yet")
	}
	namespace, err := a.namespace()
	if err != nil {
		return nil, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	return &plan.Request{
		Dir: dir, Namespace: namespace, Filenames: f.filenames, Recursive: f.recursive, Recurse: f.recurse,
		Names: names, LocalSources: f.localSources, Replace: f.replace,
	}, nil
}

// read reads what is asked for.
func (f *planFlags) read(a *app, asked *plan.Request) (planner.Request, error) {
	req := planner.Request{Names: asked.Names, Recurse: asked.Recurse, Replace: asked.Replace, Concurrency: f.concurrency}
	if f.concurrency < 1 {
		return req, usagef("--concurrency %d: at least 1", f.concurrency)
	}
	found, err := manifest.Read(manifest.Options{Filenames: asked.Filenames, Recursive: asked.Recursive, Namespace: asked.Namespace, Stdin: a.streams.In})
	if err != nil {
		return req, err
	}
	req.Kustomizations, req.SourceObjects = found.Kustomizations, found.Sources
	req.Sources, err = sources(asked, req.Kustomizations)
	return req, err
}

func sources(asked *plan.Request, ks []*manifest.Kustomization) (*source.Local, error) {
	if len(asked.LocalSources) > 0 {
		return source.ParseLocal(asked.LocalSources)
	}
	first := asked.Filenames[0]
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

// make renders and compares what was read.
func (a *app) make(ctx context.Context, client *cluster.Client, req planner.Request) (*planner.Result, error) {
	result, err := (&planner.Planner{Client: client}).Plan(ctx, req)
	if err != nil {
		return nil, err
	}
	warnings := printers.NewWarningPrinter(a.streams.ErrOut, printers.WarningPrinterOptions{Color: printers.AllowsColorOutput(a.streams.ErrOut)})
	for _, w := range result.Plan.Warnings {
		warnings.Print(fmt.Sprintf("%s (%s)", w.Message, w.Rule))
	}
	return result, nil
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
