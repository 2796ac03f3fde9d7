package controllers

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lull-dev/lull/snapshot"
)

func TestGroupsIn(t *testing.T) {
	for name, c := range map[string]struct {
		served map[string][]string // kinds by version
		want   string
	}{
		"nothing":                  {},
		"both":                     {served: map[string][]string{"v1": {kindGroup, kindGroupContent, kindGroupClass}, "v1beta2": {kindGroup, kindGroupContent, kindGroupClass}}, want: "v1beta2"},
		"one":                      {served: map[string][]string{"v1": {kindGroup, kindGroupContent, kindGroupClass}}, want: "v1"},
		"one that isn't known":     {served: map[string][]string{"v1beta1": {kindGroup, kindGroupContent, kindGroupClass}}},
		"some of the kinds":        {served: map[string][]string{"v1beta2": {kindGroup, kindGroupClass}}},
		"some of the kinds of one": {served: map[string][]string{"v1beta2": {kindGroup}, "v1": {kindGroup, kindGroupContent, kindGroupClass}}, want: "v1"},
	} {
		t.Run(name, func(t *testing.T) {
			mapper := meta.NewDefaultRESTMapper(nil)
			for version, kinds := range c.served {
				for _, kind := range kinds {
					mapper.Add(schema.GroupVersionKind{Group: snapshot.GroupAPI, Version: version, Kind: kind}, meta.RESTScopeNamespace)
				}
			}
			if got, err := groupsIn(mapper); got != c.want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}
