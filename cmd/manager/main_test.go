package main

import (
	"crypto/tls"
	"slices"
	"testing"

	"k8s.io/client-go/rest"
)

func TestMetricsAreServedWithoutHTTP2(t *testing.T) {
	options, err := managerOptions(&rest.Config{Host: "http://127.0.0.1:1"}, flags{}, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	c := &tls.Config{NextProtos: []string{"h2"}} // controller-runtime's
	for _, set := range options.Metrics.TLSOpts {
		set(c)
	}
	if slices.Contains(c.NextProtos, "h2") || len(c.NextProtos) == 0 {
		t.Errorf("it offers %v", c.NextProtos)
	}
}
