package watchlist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// A list as an API server writes it, in either order.
const (
	itemsFirst = `{"apiVersion":"v1","items":[{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}},{"metadata":{"name":"b"}}],"kind":"L","metadata":{"resourceVersion":"7"}}`
	itemsLast  = `{"kind":"L","metadata":{"resourceVersion":"7"},"apiVersion":"v1","items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}`
)

// server answers lists in namespace shop with a body, and notes what it is asked.
type server struct {
	status int
	body   string
	asked  []string
}

func (s *server) resource(t *testing.T) Resource {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, r.URL.String())
		w.WriteHeader(s.status)
		if _, err := io.WriteString(w, s.body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(srv.Close)
	r, err := NewResource(&rest.Config{Host: srv.URL}, corev1.SchemeGroupVersion.WithResource("configmaps"), &corev1.ConfigMap{},
		Which{Namespace: "shop", LabelSelector: "a=b"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAListIsReadWhole(t *testing.T) {
	for what, c := range map[string]struct {
		status     int
		body       string
		names      string
		version    string
		says       string
		isNotFound bool
	}{
		"items first":          {http.StatusOK, itemsFirst, "a b", "7", "", false},
		"items last":           {http.StatusOK, itemsLast, "a b", "7", "", false},
		"none":                 {http.StatusOK, `{"items":[],"metadata":{"resourceVersion":"8"}}`, "", "8", "", false},
		"cut off in an item":   {http.StatusOK, itemsFirst[:70], "", "", "unexpected EOF", false},
		"cut off after one":    {http.StatusOK, itemsLast[:len(itemsLast)-len(`{"metadata":{"name":"b"}}]}`)], "a", "", "EOF", false},
		"cut off at the end":   {http.StatusOK, itemsLast[:len(itemsLast)-1], "a b", "", "unexpected EOF", false},
		"a page":               {http.StatusOK, `{"items":[],"metadata":{"resourceVersion":"8","continue":"x"}}`, "", "", "isn't whole", false},
		"no list":              {http.StatusOK, `{"items":{}}`, "", "", "expected", false},
		"no version":           {http.StatusOK, `{"items":[]}`, "", "", "isn't whole", false},
		"nothing":              {http.StatusOK, ``, "", "", "unexpected EOF", false},
		"there is no such":     {http.StatusNotFound, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`, "", "", "", true},
		"something in the way": {http.StatusBadGateway, `<html>`, "", "", "an error on the server", false},
	} {
		s := &server{status: c.status, body: c.body}
		var names []string
		version, err := s.resource(t).each(t.Context(), func(obj runtime.Object) error {
			m, _ := obj.(*corev1.ConfigMap)
			if names = append(names, m.Name); m.Kind != "" {
				t.Errorf("%s: %s has a kind", what, m.Name)
			}
			return nil
		})
		isError := c.says != "" || c.isNotFound
		if strings.Join(names, " ") != c.names || version != c.version || (err != nil) != isError || c.isNotFound != apierrors.IsNotFound(err) {
			t.Errorf("%s: %v, version %q, %v", what, names, version, err)
		}
		if err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
		if want := "/apis/v1/namespaces/shop/configmaps?labelSelector=a%3Db"; s.asked[0] != want {
			t.Errorf("%s is asked for, want %s", s.asked[0], want)
		}
	}
}

// watched is the ListerWatcher of what is there: it notes how it is asked.
type watched struct {
	changes *watch.FakeWatcher
	asked   []string
}

func (w *watched) listerWatcher() *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(_ context.Context, o metav1.ListOptions) (runtime.Object, error) {
			w.asked = append(w.asked, fmt.Sprintf("list of %d", o.Limit))
			return &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: "9"}}, nil
		},
		WatchFuncWithContext: func(_ context.Context, o metav1.ListOptions) (watch.Interface, error) {
			w.asked = append(w.asked, fmt.Sprintf("watch from %q%s", o.ResourceVersion, o.ResourceVersionMatch))
			if w.changes == nil {
				return nil, errors.New("no watch")
			}
			return w.changes, nil
		},
	}
}

// first asks for a watch that begins with what is there.
func first(t *testing.T, lw cache.ListerWatcher) watch.Interface {
	t.Helper()
	w, err := cache.ToListerWatcherWithContext(lw).WatchWithContext(t.Context(), metav1.ListOptions{SendInitialEvents: ptr.To(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

// told is what a watch tells next.
func told(t *testing.T, w watch.Interface) string {
	t.Helper()
	select {
	case event, is := <-w.ResultChan():
		if !is {
			return "end"
		}
		switch o := event.Object.(type) {
		case *corev1.ConfigMap:
			return fmt.Sprintf("%s %s%s%s", event.Type, o.Name, o.ResourceVersion, o.Annotations[metav1.InitialEventsAnnotationKey])
		case *metav1.Status:
			return fmt.Sprintf("%s %d", event.Type, o.Code)
		}
		return fmt.Sprintf("%s %T", event.Type, event.Object)
	case <-time.After(time.Minute):
		t.Fatal("the watch tells nothing")
		return ""
	}
}

func TestAWatchBeginsWithWhatIsThere(t *testing.T) {
	from := &watched{changes: watch.NewFake()}
	s := &server{status: http.StatusOK, body: itemsFirst}
	w := first(t, s.resource(t).Before(from.listerWatcher(), Wanted{}))
	var all []string
	for range 3 {
		all = append(all, told(t, w))
	}
	from.changes.Modify(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "b"}})
	all = append(all, told(t, w))
	from.changes.Stop()
	all = append(all, told(t, w))
	if want := []string{"ADDED a", "ADDED b", "BOOKMARK 7true", "MODIFIED b", "end"}; !slices.Equal(all, want) {
		t.Errorf("it tells %q, want %q", all, want)
	}
	if want := []string{`watch from "7"`}; !slices.Equal(from.asked, want) {
		t.Errorf("asked for %q, want %q", from.asked, want)
	}
}

// What isn't wanted isn't listed, and changes are watched from now on.
func TestAWatchBeginsWithNothing(t *testing.T) {
	from, s := &watched{changes: watch.NewFake()}, &server{}
	w := first(t, s.resource(t).Before(from.listerWatcher(), Wanted{None: func() bool { return true }}))
	if first := told(t, w); first != "BOOKMARK 9true" {
		t.Errorf("it begins with %s", first)
	}
	w.Stop()
	if last := told(t, w); last != "end" {
		t.Errorf("it ends with %s", last)
	}
	if want := []string{"list of 1", `watch from "9"`}; !slices.Equal(from.asked, want) || len(s.asked) > 0 {
		t.Errorf("asked for %q and %q, want %q", from.asked, s.asked, want)
	}
}

func TestAWatchBeginsWithWhatIsWanted(t *testing.T) {
	from := &watched{changes: watch.NewFake()}
	s := &server{status: http.StatusOK, body: itemsLast}
	w := first(t, s.resource(t).Before(from.listerWatcher(), Wanted{
		None:   func() bool { return false },
		Object: func(_ context.Context, obj runtime.Object) bool { return obj.(*corev1.ConfigMap).Name == "b" },
	}))
	if all := []string{told(t, w), told(t, w)}; !slices.Equal(all, []string{"ADDED b", "BOOKMARK 7true"}) {
		t.Errorf("it tells %q", all)
	}
}

// A list that breaks off is no list, and an error is the reflector's to deal with.
func TestAWatchThatFails(t *testing.T) {
	for what, c := range map[string]struct {
		server server
		want   []string
	}{
		"list cut off":    {server{status: http.StatusOK, body: itemsFirst[:len(itemsFirst)-30]}, []string{"ADDED a", "ADDED b", "ERROR 429", "end"}},
		"list is refused": {server{status: http.StatusGone, body: `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}`}, []string{"ERROR 410", "end"}},
		"no watch":        {server{status: http.StatusOK, body: itemsFirst}, []string{"ADDED a", "ADDED b", "BOOKMARK 7true", "ERROR 429", "end"}},
	} {
		w := first(t, c.server.resource(t).Before((&watched{}).listerWatcher(), Wanted{}))
		var all []string
		for range c.want {
			all = append(all, told(t, w))
		}
		if !slices.Equal(all, c.want) {
			t.Errorf("%s: it tells %q, want %q", what, all, c.want)
		}
	}
}

// After a list that broke off the API server is asked to begin with what is there.
func TestAWatchAfterAListThatBrokeOff(t *testing.T) {
	from := &watched{changes: watch.NewFake()}
	s := &server{status: http.StatusOK, body: itemsFirst[:70]}
	lw := s.resource(t).Before(from.listerWatcher(), Wanted{})
	if told := told(t, first(t, lw)); told != "ERROR 429" {
		t.Errorf("it tells %s", told)
	}
	if first(t, lw) != watch.Interface(from.changes) || len(s.asked) != 1 || !slices.Equal(from.asked, []string{`watch from ""` + string(metav1.ResourceVersionMatchNotOlderThan)}) {
		t.Errorf("asked for %q and %q", from.asked, s.asked)
	}
}

// Any other watch is that of what is there.
func TestAnyOtherWatch(t *testing.T) {
	from := &watched{changes: watch.NewFake()}
	s := &server{}
	lw := cache.ToListerWatcherWithContext(s.resource(t).Before(from.listerWatcher(), Wanted{}))
	w, err := lw.WatchWithContext(t.Context(), metav1.ListOptions{ResourceVersion: "5"})
	if w != watch.Interface(from.changes) || err != nil || len(s.asked) > 0 {
		t.Errorf("%v, %v, asked for %q", w, err, s.asked)
	}
}
