package health

import (
	"github.com/fluxcd/pkg/runtime/cel"
	"github.com/google/cel-go/common/types"
)

// The variables of spec.dependsOn[].readyExpr: the Kustomization that depends,
// and the one that it depends on.
const (
	Self = "self"
	Dep  = "dep"
)

// NewReadyExpr compiles spec.dependsOn[].readyExpr, to be evaluated with Self
// and Dep. It answers the controller's error if the expression is not valid or
// is not known to be a boolean.
func NewReadyExpr(expr string) (*cel.Expression, error) {
	return cel.NewExpression(expr, cel.WithCompile(), cel.WithOutputType(types.BoolType), cel.WithStructVariables(Self, Dep))
}
