package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	promodel "github.com/prometheus/common/model"
)

// writes counts the writes that an API server has answered, by verb and what was
// written: "POST volumebackups".
type writes map[string]float64

// writes reads those of our own kinds from the API server's metrics.
func (c *controlPlane) writes(ctx context.Context) (writes, error) {
	text, err := c.kube.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(promodel.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	all := writes{}
	for _, metric := range families["apiserver_request_total"].GetMetric() {
		labels := labelsOf(metric)
		switch labels["verb"] {
		case "POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION":
		default:
			continue
		}
		if labels["group"] != "lull.dev" {
			continue
		}
		what := strings.TrimSuffix(labels["resource"]+"/"+labels["subresource"], "/")
		all[labels["verb"]+" "+what] += metric.GetCounter().GetValue()
	}
	return all, nil
}

func labelsOf(metric *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, l := range metric.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

// since are those that came after others.
func (w writes) since(before writes) writes {
	more := writes{}
	for what, n := range w {
		if n > before[what] {
			more[what] = n - before[what]
		}
	}
	return more
}

// only are those that are wanted.
func (w writes) only(isWanted func(what string) bool) writes {
	wanted := writes{}
	for what, n := range w {
		if isWanted(what) {
			wanted[what] = n
		}
	}
	return wanted
}

func (w writes) sum() (n float64) {
	for _, count := range w {
		n += count
	}
	return n
}

// String lists them.
func (w writes) String() string {
	if len(w) == 0 {
		return "none"
	}
	var all []string
	for _, what := range slices.Sorted(maps.Keys(w)) {
		all = append(all, fmt.Sprintf("%s %.0f", what, w[what]))
	}
	return strings.Join(all, ", ")
}

// isOfPolicies is true for what is written by the policies: backups that are
// created, and what is told of policies.
func isOfPolicies(what string) bool {
	return what == "POST volumebackups" || strings.Contains(what, " snapshotpolicies")
}
