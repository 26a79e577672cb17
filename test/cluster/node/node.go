package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	listersv1 "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
)

// stopGrace is how long containers may take to end when the node itself stops.
const stopGrace = time.Second

// binders is how many pods are bound at the same time.
const binders = 4

// Config is what a node needs to know.
type Config struct {
	// Name is the name of the Node object.
	Name string
	// WorkDir holds the pods' working folders while the pods exist.
	WorkDir string
	// LogDir holds the containers' logs; they outlive the pods.
	LogDir string
	// CertFile and KeyFile are the certificate of the log server.
	CertFile, KeyFile string
	// ClientCAFile verifies the log server's client, which must be named
	// ClientName.
	ClientCAFile, ClientName string
	// Groups is told of every process group, so that somebody else can end the
	// groups should the node itself be killed.
	Groups Groups
}

// Groups is told when a process group starts and when it has ended.
type Groups interface {
	Started(group int)
	Ended(group int)
}

// Node runs the pods that are bound to it as processes of the host.
type Node struct {
	cfg      Config
	client   kubernetes.Interface
	log      *slog.Logger
	pods     listersv1.PodLister
	unbound  workqueue.TypedRateLimitingInterface[cache.ObjectName]
	recorder record.EventRecorder

	mu      sync.Mutex
	workers map[types.UID]*podWorker
	running sync.WaitGroup
}

// New makes a node that talks to the API server through client.
func New(cfg Config, client kubernetes.Interface, log *slog.Logger) *Node {
	return &Node{
		cfg: cfg, client: client, log: log,
		unbound: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](
			retryPeriod, 2*time.Second)),
		workers: map[types.UID]*podWorker{},
	}
}

// Run registers the node and looks after its pods until ctx is done. It returns
// when every process of every pod has ended.
func (n *Node) Run(ctx context.Context) error {
	listener, err := n.listen()
	if err != nil {
		return err
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return fmt.Errorf("unexpected listening address %s", listener.Addr())
	}
	events := record.NewBroadcaster(record.WithContext(ctx))
	defer events.Shutdown()
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: n.client.CoreV1().Events("")})
	n.recorder = events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "process-node", Host: n.cfg.Name})

	if err := n.registerEventually(ctx, address.Port); err != nil {
		_ = listener.Close()
		return err
	}
	go n.heartbeat(ctx)
	if err := n.watchPods(ctx); err != nil {
		_ = listener.Close()
		return err
	}
	err = n.serve(ctx, listener)
	n.unbound.ShutDown()
	n.running.Wait()
	return err
}

// registerEventually registers the node as soon as the API server takes it.
func (n *Node) registerEventually(ctx context.Context, port int) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, retryPeriod, true, func(ctx context.Context) (bool, error) {
		last = n.register(ctx, port)
		return last == nil, nil
	})
	if err != nil && last != nil {
		return fmt.Errorf("register the node: %w", last)
	}
	return err
}

// watchPods starts the informer and the binders.
func (n *Node) watchPods(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(n.client, 0)
	informer := factory.Core().V1().Pods()
	n.pods = informer.Lister()
	_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { n.onPod(ctx, object) },
		UpdateFunc: func(_, object any) { n.onPod(ctx, object) },
		DeleteFunc: n.onPodGone,
	})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	for range binders {
		go n.bindPods(ctx)
	}
	factory.Start(ctx.Done())
	return nil
}

// onPod hands a new or changed pod to the binders or to its worker.
func (n *Node) onPod(ctx context.Context, object any) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	if needsBinding(pod) {
		n.unbound.Add(cache.MetaObjectToName(pod))
		return
	}
	if pod.Spec.NodeName != n.cfg.Name || ctx.Err() != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if worker := n.workers[pod.UID]; worker != nil {
		worker.update(pod)
		return
	}
	worker := newPodWorker(ctx, n, pod)
	n.workers[pod.UID] = worker
	n.running.Go(func() {
		worker.run(ctx)
		n.forget(pod.UID)
	})
}

func (n *Node) onPodGone(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if worker := n.workers[pod.UID]; worker != nil {
		worker.removed()
	}
}

func (n *Node) forget(uid types.UID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.workers, uid)
}

// workerByName finds the worker of the newest pod of that name.
func (n *Node) workerByName(namespace, name string) *podWorker {
	n.mu.Lock()
	defer n.mu.Unlock()
	var newest *podWorker
	for _, worker := range n.workers {
		pod := worker.current()
		if pod.Namespace != namespace || pod.Name != name {
			continue
		}
		if newest == nil || newest.current().CreationTimestamp.Before(&pod.CreationTimestamp) {
			newest = worker
		}
	}
	return newest
}

// patchStatus patches a pod's status and returns the pod as it is then.
func (n *Node) patchStatus(ctx context.Context, pod *corev1.Pod, patch []byte) (*corev1.Pod, error) {
	return n.client.CoreV1().Pods(pod.Namespace).
		Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
}

func (n *Node) event(pod *corev1.Pod, kind, reason, message string) {
	n.recorder.Event(pod, kind, reason, message)
}
