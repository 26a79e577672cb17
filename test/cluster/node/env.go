package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/api/v1/resource"
	podshelper "k8s.io/kubernetes/pkg/apis/core/pods"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// loopback is the address of the node and of every pod.
const loopback = "127.0.0.1"

// envResolver computes the environment of one container. It reads each
// ConfigMap and Secret at most once.
type envResolver struct {
	client     kubernetes.Interface
	pod        *corev1.Pod
	container  *corev1.Container
	nodeName   string
	configMaps map[string]map[string]string
	secrets    map[string]map[string]string
}

func newEnvResolver(client kubernetes.Interface, pod *corev1.Pod, c *corev1.Container, nodeName string) *envResolver {
	return &envResolver{
		client: client, pod: pod, container: c, nodeName: nodeName,
		configMaps: map[string]map[string]string{},
		secrets:    map[string]map[string]string{},
	}
}

// resolve returns the variables of envFrom and env; later ones win, and a value
// may refer to the variables before it.
func (r *envResolver) resolve(ctx context.Context) (map[string]string, error) {
	env := map[string]string{}
	for _, from := range r.container.EnvFrom {
		values, err := r.source(ctx, from)
		if err != nil {
			return nil, err
		}
		for key, value := range values {
			env[from.Prefix+key] = value
		}
	}
	mapping := expansion.MappingFuncFor(env)
	for _, variable := range r.container.Env {
		if variable.Value != "" || variable.ValueFrom == nil {
			env[variable.Name] = expansion.Expand(variable.Value, mapping)
			continue
		}
		value, found, err := r.valueFrom(ctx, variable.ValueFrom)
		if err != nil {
			return nil, err
		}
		if found {
			env[variable.Name] = value
		}
	}
	return env, nil
}

// source returns all values of an envFrom entry.
func (r *envResolver) source(ctx context.Context, from corev1.EnvFromSource) (map[string]string, error) {
	var values map[string]string
	var err error
	var optional *bool
	switch {
	case from.ConfigMapRef != nil:
		optional = from.ConfigMapRef.Optional
		values, err = r.configMap(ctx, from.ConfigMapRef.Name)
	case from.SecretRef != nil:
		optional = from.SecretRef.Optional
		values, err = r.secret(ctx, from.SecretRef.Name)
	}
	if apierrors.IsNotFound(err) && isTrue(optional) {
		return nil, nil
	}
	return values, err
}

// valueFrom returns one referenced value, and whether there is one.
func (r *envResolver) valueFrom(ctx context.Context, from *corev1.EnvVarSource) (string, bool, error) {
	switch {
	case from.FieldRef != nil:
		value, err := r.field(from.FieldRef.FieldPath)
		return value, err == nil, err
	case from.ResourceFieldRef != nil:
		value, err := resource.ExtractContainerResourceValue(from.ResourceFieldRef, r.container)
		return value, err == nil, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		values, err := r.configMap(ctx, ref.Name)
		return r.key("ConfigMap", ref.Name, ref.Key, ref.Optional, values, err)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		values, err := r.secret(ctx, ref.Name)
		return r.key("Secret", ref.Name, ref.Key, ref.Optional, values, err)
	default:
		return "", false, errors.New("this source of an environment variable is not supported by the process node")
	}
}

func (r *envResolver) key(kind, name, key string, optional *bool, values map[string]string, err error) (string, bool, error) {
	if apierrors.IsNotFound(err) && isTrue(optional) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	value, found := values[key]
	if !found && !isTrue(optional) {
		return "", false, fmt.Errorf("couldn't find key %v in %s %v/%v", key, kind, r.pod.Namespace, name)
	}
	return value, found, nil
}

// configMap returns the data of a ConfigMap. The error is the API's own: its
// text is what the kubelet shows.
func (r *envResolver) configMap(ctx context.Context, name string) (map[string]string, error) {
	if values, ok := r.configMaps[name]; ok {
		return values, nil
	}
	object, err := r.client.CoreV1().ConfigMaps(r.pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, plainNotFound(err)
	}
	r.configMaps[name] = object.Data
	return object.Data, nil
}

func (r *envResolver) secret(ctx context.Context, name string) (map[string]string, error) {
	if values, ok := r.secrets[name]; ok {
		return values, nil
	}
	object, err := r.client.CoreV1().Secrets(r.pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, plainNotFound(err)
	}
	values := make(map[string]string, len(object.Data))
	for key, value := range object.Data {
		values[key] = string(value)
	}
	r.secrets[name] = values
	return values, nil
}

// field resolves a fieldRef.
func (r *envResolver) field(path string) (string, error) {
	internal, _, err := podshelper.ConvertDownwardAPIFieldLabel("v1", path, "")
	if err != nil {
		return "", fmt.Errorf("resolve the field %s: %w", path, err)
	}
	switch internal {
	case "spec.nodeName":
		return r.nodeName, nil
	case "spec.serviceAccountName":
		return r.pod.Spec.ServiceAccountName, nil
	case "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs":
		return loopback, nil
	}
	return fieldpath.ExtractFieldPathAsString(r.pod, internal)
}

// hostEnv is what a container gets of the host's environment.
func hostEnv() map[string]string {
	env := map[string]string{}
	for _, name := range []string{"PATH", "HOME"} {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	return env
}

// assignments turns variables into the form of os/exec, in a stable order.
func assignments(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// expandAll replaces $(VAR) references in command and args.
func expandAll(words []string, env map[string]string) []string {
	mapping := expansion.MappingFuncFor(env)
	expanded := make([]string, 0, len(words))
	for _, word := range words {
		expanded = append(expanded, expansion.Expand(word, mapping))
	}
	return expanded
}

// plainNotFound shortens the API server's message to the kubelet's, which reads
// from a cache: configmap "x" not found.
func plainNotFound(err error) error {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return err
	}
	details := status.Status().Details
	if details == nil {
		return err
	}
	kind := map[string]string{"configmaps": "configmap", "secrets": "secret"}[details.Kind]
	if kind == "" {
		return err
	}
	return apierrors.NewNotFound(corev1.Resource(kind), details.Name)
}

func isTrue(b *bool) bool { return b != nil && *b }
