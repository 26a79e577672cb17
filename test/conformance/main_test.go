package conformance

import (
	"context"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fluxjob/kubectl-fluxjob/test/harness"
)

// parallelCases is how many cases run at once: most of their time they wait.
const parallelCases = 14

// fluxModule is the module that pins the controller.
var fluxModule = filepath.Join("..", "flux")

// What all cases share.
var (
	binary     string
	kubeconfig string
	client     dynamic.Interface
	server     *version.Version
	mapper     meta.ResettableRESTMapper
	oracle     *controller
	served     *artifacts
)

func TestMain(m *testing.M) {
	harness.Parallel(parallelCases)
	harness.Main(m, setup)
}

// setup starts the controller and what serves it beside the cluster.
func setup(env *harness.Environment) (err error) {
	if binary, err = env.Plugin(); err != nil {
		return err
	}
	program, err := env.Program("FLUXJOB_CONTROLLER_BIN", "kustomize-controller", func(out string) error {
		return harness.GoBuild("-C", fluxModule, "-o", out, "github.com/fluxcd/kustomize-controller")
	})
	if err != nil {
		return err
	}
	kubeconfig = env.Kubeconfig
	if err := connect(kubeconfig); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := installFlux(ctx); err != nil {
		return err
	}
	if served, err = serveArtifacts(); err != nil {
		return err
	}
	env.Cleanup(func() error { served.close(); return nil })
	if oracle, err = startController(ctx, program, env.Dir, served.address); err != nil {
		return err
	}
	env.Cleanup(oracle.stop)
	return nil
}

func connect(kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	if client, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	info, err := d.ServerVersion()
	if err != nil {
		return err
	}
	if server, err = version.ParseGeneric(info.GitVersion); err != nil {
		return err
	}
	mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))
	return nil
}
