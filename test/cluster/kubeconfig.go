package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// The users of the cluster. Each has a token of its own and all of them are
// administrators: the cluster serves the one who has started it.
const (
	userAdmin             = "fluxjob-admin"
	userControllerManager = "system:kube-controller-manager"
	userNode              = "system:node:" + nodeName
)

// contextName is the name of the kubeconfig's cluster and context.
const contextName = "fluxjob"

// writeTokens makes a token for each user and the file that the API server reads.
func writeTokens(l layout) (map[string]string, error) {
	tokens := map[string]string{}
	var file strings.Builder
	for _, user := range []string{userAdmin, userControllerManager, userNode} {
		tokens[user] = rand.Text()
		fmt.Fprintf(&file, "%s,%s,%s,system:masters\n", tokens[user], user, user)
	}
	if err := os.WriteFile(l.tokens(), []byte(file.String()), 0o600); err != nil {
		return nil, fmt.Errorf("write the tokens: %w", err)
	}
	return tokens, nil
}

// writeKubeconfig writes a self-contained kubeconfig with mode 0600.
func writeKubeconfig(path string, l layout, port int, user, token string) error {
	ca, err := os.ReadFile(l.pki(caCert))
	if err != nil {
		return fmt.Errorf("read the CA's certificate: %w", err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[contextName] = &clientcmdapi.Cluster{
		Server: "https://" + address(port), CertificateAuthorityData: ca,
	}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts[contextName] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: user, Namespace: "default"}
	config.CurrentContext = contextName
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
