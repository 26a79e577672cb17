// Package node is a Kubernetes node that runs each container's command as a
// process of the host. It is for tests and demonstrations of Jobs, without a
// container engine and without root; it listens on loopback only.
//
// The node registers itself, binds pending pods (there is no scheduler beside
// it), starts init containers, sidecars and containers, writes the pod's
// status as a kubelet would, and serves container logs to the API server.
//
// What is left out, because host processes cannot offer it or no Job needs it:
//
//   - images: none is pulled. An image whose name ends in ":missing" stays in
//     ImagePullBackOff; a container without a command runs until it is stopped.
//   - isolation: no file system, network, user or cgroup of its own. Every
//     pod's address is 127.0.0.1, resource requests and limits are ignored,
//     and a process that leaves its process group is not followed.
//   - volumes and the service account's token: volumeMounts are ignored. All
//     containers of a pod share its working folder instead.
//   - taints, tolerations, topology and priorities when pods are bound; only
//     nodeSelector, the required node affinity and cordoning count.
//   - a change of a running pod's activeDeadlineSeconds, and the restart rule
//     RestartAllContainers.
//   - liveness, startup and gRPC probes, lifecycle hooks, service environment
//     variables, exec, attach and port-forward.
//   - /dev/termination-log: the variable TERMINATION_LOG names the file whose
//     content becomes the termination message.
package node
