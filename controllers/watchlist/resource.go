package watchlist

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Resource is what is listed: a custom one, which an API server sends as JSON.
type Resource struct {
	client rest.Interface
	// name in the plural.
	name  string
	kind  client.Object
	which Which
	// breaksOff is set once a list broke off: an API server ends those that take more
	// than a minute, and its own watches with what is there it doesn't.
	breaksOff *atomic.Bool
}

// Which are the objects that are listed. Empty fields are all.
type Which struct {
	Namespace, LabelSelector string
}

// NewResource is one of an API server. Of its kind an empty object is given.
func NewResource(config *rest.Config, of schema.GroupVersionResource, kind client.Object, which Which) (Resource, error) {
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = "/apis", new(of.GroupVersion())
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion() // of errors: what is listed is read here
	c, err := rest.RESTClientFor(config)
	return Resource{client: c, name: of.Resource, kind: kind, which: which, breaksOff: &atomic.Bool{}}, err
}

func (r Resource) empty() client.Object {
	obj, _ := r.kind.DeepCopyObject().(client.Object) // it is of the same type
	return obj
}

// each has do called for each object of a list, while it comes, and is the list's
// version. Without a version and a limit an API server lists from its cache what is
// there now, and sends it object by object.
func (r Resource) each(ctx context.Context, do func(runtime.Object) error) (version string, err error) {
	body, err := r.client.Get().NamespaceIfScoped(r.which.Namespace, r.which.Namespace != "").Resource(r.name).
		VersionedParams(&metav1.ListOptions{LabelSelector: r.which.LabelSelector}, metav1.ParameterCodec).Stream(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	return r.read(body, do)
}

// read reads a list. Its version is in its metadata, before or after the objects.
func (r Resource) read(list io.Reader, do func(runtime.Object) error) (version string, err error) {
	var m metav1.ListMeta
	d := json.NewDecoder(list)
	err = eachField(d, func(name string) error {
		switch name {
		case "metadata":
			return d.Decode(&m)
		case "items":
			return r.readItems(d, do)
		}
		var ignored json.RawMessage
		return d.Decode(&ignored)
	})
	switch {
	case err != nil:
		r.breaksOff.Store(true)
		return "", fmt.Errorf("list of %s: %w", r.name, err)
	case m.ResourceVersion == "" || m.Continue != "":
		return "", fmt.Errorf("list of %s: it isn't whole", r.name)
	}
	return m.ResourceVersion, nil
}

func (r Resource) readItems(d *json.Decoder, do func(runtime.Object) error) error {
	if err := expect(d, json.Delim('[')); err != nil {
		return err
	}
	for d.More() {
		obj := r.empty()
		if err := d.Decode(obj); err != nil {
			return err
		}
		obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{}) // as of any typed object
		if err := do(obj); err != nil {
			return err
		}
	}
	return expect(d, json.Delim(']'))
}

// eachField has do read the value of each field of an object.
func eachField(d *json.Decoder, do func(name string) error) error {
	if err := expect(d, json.Delim('{')); err != nil {
		return err
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // the decoder takes nothing else for it
		if err := do(name); err != nil {
			return err
		}
	}
	return expect(d, json.Delim('}'))
}

func expect(d *json.Decoder, want json.Delim) error {
	token, err := d.Token()
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case token != want:
		return fmt.Errorf("%v where %v is expected", token, want)
	}
	return nil
}
