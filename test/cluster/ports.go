package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// ports are the loopback ports of the control plane.
type ports struct {
	etcdClient, etcdPeer, apiServer, controllerManager int
}

// freePorts finds four different ports that nobody listens on.
func freePorts() (ports, error) {
	var found ports
	var errs []error
	for _, port := range []*int{&found.etcdClient, &found.etcdPeer, &found.apiServer, &found.controllerManager} {
		listener, err := net.Listen("tcp", address(0))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		// All listeners stay open to the end, so that no port is found twice.
		defer func() { _ = listener.Close() }()
		if at, ok := listener.Addr().(*net.TCPAddr); ok {
			*port = at.Port
		}
	}
	if err := errors.Join(errs...); err != nil {
		return ports{}, fmt.Errorf("find free ports: %w", err)
	}
	return found, nil
}

// address is a port on loopback.
func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }
