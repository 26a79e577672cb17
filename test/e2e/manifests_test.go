package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// kustomization is a Flux Kustomization of the folder that bears its name.
// Fields of spec, one a string, are added, or replace those that it has.
func kustomization(name string, spec ...string) string {
	fields := merge([]string{
		"interval: 1m",
		"path: ./" + name,
		"prune: true",
		`targetNamespace: "@NS"`,
		"sourceRef: {kind: GitRepository, name: repo}",
	}, spec)
	return fmt.Sprintf("---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: %s}\nspec:\n  %s\n", name, strings.Join(fields, "\n  "))
}

// after is the field that makes a Kustomization depend on others.
func after(names ...string) string {
	return "dependsOn: [{name: " + strings.Join(names, "}, {name: ") + "}]"
}

// job is a Job that runs a script once. Fields of spec are added or replaced.
func job(name, image, script string, spec ...string) string {
	fields := merge([]string{"backoffLimit: 0"}, spec)
	return fmt.Sprintf(`---
apiVersion: batch/v1
kind: Job
metadata: {name: %[1]s}
spec:
  %[2]s
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: %[1]s
        image: %[3]s
        command: [sh, -c, %[4]s]
`, name, strings.Join(fields, "\n  "), image, strconv.Quote(script))
}

// deployment is a Deployment of one pod that does nothing until it is stopped.
func deployment(name, image string) string {
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 1
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers:
      - name: %[1]s
        image: %[2]s
`, name, image)
}

// configMap is a ConfigMap with the one key "key".
func configMap(name, value string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {key: %q}\n", name, value)
}

// secret is a Secret with the one key "key".
func secret(name, value string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s}\nstringData: {key: %q}\n", name, value)
}

// namespace is a Namespace.
func namespace(name string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %q}\n", name)
}

// annotate adds an annotation to an object of the functions above.
func annotate(document, key, value string) string {
	return strings.Replace(document, "metadata: {", fmt.Sprintf("metadata: {annotations: {%q: %q}, ", key, value), 1)
}

// placed names the namespace of an object of the functions above.
func placed(document, namespace string) string {
	return strings.Replace(document, "metadata: {", fmt.Sprintf("metadata: {namespace: %q, ", namespace), 1)
}

// merge adds lines "key: value" to others, or replaces those with the key. The
// line "key:" alone takes it away.
func merge(lines, more []string) []string {
	for _, line := range more {
		key, value, _ := strings.Cut(line, ":")
		if value == "" {
			lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, key+":") })
			continue
		}
		replaced := false
		for i := range lines {
			if strings.HasPrefix(lines[i], key+":") {
				lines[i], replaced = line, true
			}
		}
		if !replaced {
			lines = append(lines, line)
		}
	}
	return lines
}

// The annotations by which an object tells Flux how to treat it.
const (
	reconcileAnnotation = "kustomize.toolkit.fluxcd.io/reconcile"
	ssaAnnotation       = "kustomize.toolkit.fluxcd.io/ssa"
	forceAnnotation     = "kustomize.toolkit.fluxcd.io/force"
	pruneAnnotation     = "kustomize.toolkit.fluxcd.io/prune"
)

// labelled adds the owner labels to an object of the functions above.
func labelled(document, namespace, name string) string {
	labels := fmt.Sprintf("metadata: {labels: {kustomize.toolkit.fluxcd.io/name: %s, kustomize.toolkit.fluxcd.io/namespace: %s}, ", name, namespace)
	return strings.Replace(document, "metadata: {", labels, 1)
}
