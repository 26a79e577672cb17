package e2e

import (
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/fluxjob/kubectl-fluxjob/test/harness"
)

// The program under test and the cluster it is tested on, for all tests.
var (
	binary     string
	kubeconfig string
	config     *rest.Config
	client     dynamic.Interface
)

func TestMain(m *testing.M) {
	harness.Main(m, func(env *harness.Environment) (err error) {
		if binary, err = env.Plugin(); err != nil {
			return err
		}
		kubeconfig = env.Kubeconfig
		if config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
			return err
		}
		config.QPS = -1
		client, err = dynamic.NewForConfig(config)
		return err
	})
}
