package main

import "strconv"

// The names of the processes, and of their logs.
const (
	nameSupervisor        = "supervisor"
	nameEtcd              = "etcd"
	nameAPIServer         = "kube-apiserver"
	nameControllerManager = "kube-controller-manager"
	nameNode              = "node"
)

// nodeName is the name of the Node object.
const nodeName = "fluxjob-node"

// component is a child process. One that starts processes of its own reports
// their groups.
type component struct {
	name    string
	args    []string
	reports bool
}

func etcdComponent(l layout, p ports) component {
	return component{name: nameEtcd, args: []string{
		"--data-dir=" + l.etcd(),
		"--client=https://" + address(p.etcdClient),
		"--peer=https://" + address(p.etcdPeer),
		"--ca=" + l.pki(caCert),
		"--cert=" + l.pki(servingCert),
		"--key=" + l.pki(servingKey),
	}}
}

func apiServerComponent(l layout, p ports) component {
	return component{name: nameAPIServer, args: []string{
		"--etcd-servers=https://" + address(p.etcdClient),
		"--etcd-cafile=" + l.pki(caCert),
		"--etcd-certfile=" + l.pki(clientCert),
		"--etcd-keyfile=" + l.pki(clientKey),
		"--bind-address=" + loopback,
		"--secure-port=" + strconv.Itoa(p.apiServer),
		"--tls-cert-file=" + l.pki(servingCert),
		"--tls-private-key-file=" + l.pki(servingKey),
		// A loopback address cannot stand in an EndpointSlice, so the service
		// "kubernetes" has no endpoints.
		"--advertise-address=" + loopback,
		"--endpoint-reconciler-type=none",
		"--token-auth-file=" + l.tokens(),
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		"--profiling=false",
		"--service-cluster-ip-range=" + serviceRange,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + l.pki(accountPub),
		"--service-account-signing-key-file=" + l.pki(accountKey),
		"--kubelet-certificate-authority=" + l.pki(caCert),
		"--kubelet-client-certificate=" + l.pki(clientCert),
		"--kubelet-client-key=" + l.pki(clientKey),
		"--kubelet-preferred-address-types=InternalIP",
	}}
}

// controllerManagerComponent runs all controllers but those for volumes that
// are attached, certificate requests and metrics, for which nothing is there.
func controllerManagerComponent(l layout, p ports) component {
	return component{name: nameControllerManager, args: []string{
		"--kubeconfig=" + l.config(nameControllerManager),
		"--bind-address=" + loopback,
		"--secure-port=" + strconv.Itoa(p.controllerManager),
		"--tls-cert-file=" + l.pki(servingCert),
		"--tls-private-key-file=" + l.pki(servingKey),
		"--leader-elect=false",
		"--root-ca-file=" + l.pki(caCert),
		"--service-account-private-key-file=" + l.pki(accountKey),
		"--controllers=*" +
			",-persistentvolume-attach-detach-controller" +
			",-persistentvolume-expander-controller" +
			",-certificatesigningrequest-signing-controller" +
			",-certificatesigningrequest-approving-controller" +
			",-certificatesigningrequest-cleaner-controller" +
			",-horizontal-pod-autoscaler-controller" +
			",-node-ipam-controller" +
			",-selinux-warning-controller",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--node-monitor-period=1s",
		"--profiling=false",
	}}
}

func nodeComponent(l layout) component {
	return component{name: nameNode, reports: true, args: []string{
		"--kubeconfig=" + l.config(nameNode),
		"--work-dir=" + l.work(),
		"--log-dir=" + l.podLogs(),
		"--cert=" + l.pki(servingCert),
		"--key=" + l.pki(servingKey),
		"--client-ca=" + l.pki(caCert),
	}}
}
