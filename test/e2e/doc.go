// Package e2e holds the tests of the whole program, on a Kubernetes cluster
// whose pods really run.
//
// FLUXJOB_BIN and FLUXJOB_CLUSTER_BIN name the program and the embedded cluster;
// what is not named is built first, which takes minutes. All tests share one
// cluster. Each has namespaces and folders of its own, so that they run side by
// side; a test of what is there once in a cluster does not call t.Parallel.
package e2e
