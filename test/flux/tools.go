//go:build tools

// Package flux pins the real kustomize-controller, which go.mod names as a tool,
// and the source-controller, of which only the CustomResourceDefinitions are
// used. The import keeps the latter in go.mod.
package flux

import _ "github.com/fluxcd/source-controller/tests/listener"
