package main

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (s *space) configMap(name string, data map[string]string) {
	s.t.Helper()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
	if _, err := s.client.CoreV1().ConfigMaps(s.name).Create(s.t.Context(), object, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func TestEnvironment(t *testing.T) {
	s := newSpace(t)
	s.configMap("settings", map[string]string{"COLOR": "blue", "SIZE": "big"})
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "access"}, StringData: map[string]string{"token": "s3cret"}}
	if _, err := s.client.CoreV1().Secrets(s.name).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.pod(`
metadata: {name: env, labels: {team: data}}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: any
    command: [sh, -c]
    args:
    - |
      echo "$PLAIN $COLOR $FROM_COLOR $TOKEN $SIZE $POD $TEAM $IP $BOTH ${ABSENT-none} ${LANG_OF_HOST-none}"
      echo "$(PLAIN) $$(PLAIN) $(UNKNOWN)"
    envFrom:
    - {configMapRef: {name: settings}}
    - {prefix: FROM_, configMapRef: {name: settings}}
    - {prefix: S_, secretRef: {name: access}}
    - {configMapRef: {name: nothing, optional: true}}
    env:
    - {name: PLAIN, value: plain}
    - {name: SIZE, value: small}
    - {name: TOKEN, valueFrom: {secretKeyRef: {name: access, key: token}}}
    - {name: ABSENT, valueFrom: {configMapKeyRef: {name: settings, key: absent, optional: true}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: TEAM, valueFrom: {fieldRef: {fieldPath: "metadata.labels['team']"}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: BOTH, value: "$(PLAIN)-$(S_token)"}
`)
	s.podIn("env", corev1.PodSucceeded)
	// The kubelet's own rule: "$$(PLAIN)" becomes "$(PLAIN)", which the shell then
	// reads as a command; so the second line is checked through single words.
	want := "plain blue blue s3cret small env data 127.0.0.1 plain-s3cret none none\n"
	if got := s.log("env"); len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("got %q, want it to start with %q", got, want)
	}
}

func TestExpansionInArguments(t *testing.T) {
	s := newSpace(t)
	s.pod(`
metadata: {name: args}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: any
    command: [echo]
    args: ["$(NAME)", "$$(NAME)", "$(UNKNOWN)"]
    env: [{name: NAME, value: value}]
`)
	s.podIn("args", corev1.PodSucceeded)
	equal(t, "log", s.log("args"), "value $(NAME) $(UNKNOWN)\n")
}

func TestMissingReferenceIsAwaited(t *testing.T) {
	s := newSpace(t)
	s.pod(`
metadata: {name: waiter}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: any
    command: [sh, -c, "echo $COLOR"]
    env:
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: later, key: color}}}
`)
	pod := s.podWhen("waiter", "in CreateContainerConfigError", func(p *corev1.Pod) bool {
		return waitingReason(p) == "CreateContainerConfigError"
	})
	equal(t, "message", pod.Status.ContainerStatuses[0].State.Waiting.Message, `configmap "later" not found`)
	s.configMap("later", map[string]string{"color": "green"})
	s.podIn("waiter", corev1.PodSucceeded)
	equal(t, "log", s.log("waiter"), "green\n")
}
