// Package conformance proves case by case that what "kubectl fluxjob plan" says
// is what kustomize-controller then does.
//
// The oracle is the real controller, built from the module test/flux. It runs
// beside the embedded cluster; the tests serve its artifacts, which they make of
// the trees as source-controller does, and hand it one revision after another.
// FLUXJOB_BIN, FLUXJOB_CLUSTER_BIN and FLUXJOB_CONTROLLER_BIN name the programs;
// what is not named is built first, which takes minutes.
//
// A case is an archive in testdata/cases: what it is about, then these files,
// of which only expect is required. @NS stands for the namespace of the case.
//
//	kustomization          spec of the Kustomization, merged over the defaults; null takes a field away
//	kustomization.before   the same for the first revision alone
//	kustomization.after    the same for the second revision alone
//	source                 spec of the source, merged over the defaults
//	objects                what exists before everything else, by the hand of somebody else
//	before/PATH            the first revision's tree; without one, Flux has seen nothing
//	before.links           symbolic links of the first tree, one a line: PATH -> TARGET
//	between                what happens then, one step a line; see steps_test.go
//	between/NAME           manifests for the steps
//	after/PATH             the second revision's tree; without one, the first tree again
//	after.links            symbolic links of the second tree
//	expect                 what is expected, one line an object; see case_test.go
//
// Further Kustomizations are the files kustomization/NAME, with .before and
// .after likewise; they are reconciled in the order of their names.
//
// For each case plan is asked before the controller sees the second revision.
// The controller's part is then observed, in its log and in the cluster, and
// each action of the plan is checked against it by the table in agree_test.go.
// The written expectation comes on top: it documents the case. Where servers of
// different versions do different things, its lines say which.
//
// Where the controller succeeds and the plan can be applied, the case is done
// again by "kubectl fluxjob apply" in a further namespace, its twin. Objects with
// their field managers, and inventories, are equal in the end (twin_test.go).
// Then the controller takes up what apply left, and apply what the controller
// left: neither writes anything (handover_test.go). At the end the test says how
// many twins it compared, and how many cases it left out and for which reason.
package conformance
