package restore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// memory is an API server of a map, for the search: it plays thousands of
// restores, for which controller-runtime's fake client takes minutes. It knows
// what a restore depends on: versions, UIDs, generations, finalizers, status as
// a subresource, dry runs, merge patches and the patch that scales.
type memory struct {
	client.WithWatch // nil: what isn't here isn't used
	now              func() metav1.Time

	mu      sync.Mutex
	objects map[string]client.Object
	version int
}

func newMemory(now func() metav1.Time, objects ...client.Object) *memory {
	m := &memory{now: now, objects: map[string]client.Object{}}
	for _, obj := range objects {
		m.objects[keyOf(obj)] = m.next(obj)
	}
	return m
}

func kindName(obj any) string { return reflect.TypeOf(obj).Elem().Name() }

func keyOf(obj client.Object) string {
	return kindName(obj) + "/" + obj.GetNamespace() + "/" + obj.GetName()
}

func notFound(obj client.Object) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: kindName(obj)}, obj.GetName())
}

func conflict(obj client.Object) error {
	return apierrors.NewConflict(schema.GroupResource{Resource: kindName(obj)}, obj.GetName(), fmt.Errorf("somebody was faster"))
}

func copied[T client.Object](obj T) T { return obj.DeepCopyObject().(T) }

// into writes what is stored to where it is wanted.
func into(obj, stored client.Object) {
	reflect.ValueOf(obj).Elem().Set(reflect.ValueOf(copied(stored)).Elem())
}

// next is a copy with the next version.
func (m *memory) next(obj client.Object) client.Object {
	m.version++
	obj = copied(obj)
	obj.SetResourceVersion(fmt.Sprint(m.version))
	return obj
}

func (m *memory) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	stored := m.objects[kindName(obj)+"/"+key.Namespace+"/"+key.Name]
	if stored == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: kindName(obj)}, key.Name)
	}
	into(obj, stored)
	return nil
}

func (m *memory) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []runtime.Object
	prefix := strings.TrimSuffix(kindName(list), "List") + "/"
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		if strings.HasPrefix(key, prefix) {
			found = append(found, copied(m.objects[key]))
		}
	}
	return meta.SetList(list, found)
}

func (m *memory) Create(_ context.Context, obj client.Object, opts ...client.CreateOption) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects[keyOf(obj)] != nil {
		return apierrors.NewAlreadyExists(schema.GroupResource{Resource: kindName(obj)}, obj.GetName())
	}
	if len((&client.CreateOptions{}).ApplyOptions(opts).DryRun) > 0 {
		return nil
	}
	stored := m.next(obj)
	if stored.GetUID() == "" {
		stored.SetUID(types.UID(fmt.Sprintf("uid-%s-%d", obj.GetName(), m.version)))
	}
	stored.SetCreationTimestamp(m.now())
	stored.SetGeneration(1)
	m.objects[keyOf(obj)] = stored
	into(obj, stored)
	return nil
}

func (m *memory) Delete(_ context.Context, obj client.Object, opts ...client.DeleteOption) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	stored := m.objects[keyOf(obj)]
	options := (&client.DeleteOptions{}).ApplyOptions(opts)
	switch p := options.Preconditions; {
	case stored == nil:
		return notFound(obj)
	case p != nil && p.UID != nil && *p.UID != stored.GetUID():
		return conflict(obj)
	case len(options.DryRun) > 0:
	case len(stored.GetFinalizers()) == 0:
		delete(m.objects, keyOf(obj))
	case stored.GetDeletionTimestamp().IsZero():
		going := m.next(stored)
		going.SetDeletionTimestamp(ptr.To(m.now()))
		m.objects[keyOf(obj)] = going
	}
	return nil
}

func (m *memory) Update(_ context.Context, obj client.Object, _ ...client.UpdateOption) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	stored := m.objects[keyOf(obj)]
	if stored == nil {
		return notFound(obj)
	}
	if obj.GetResourceVersion() != stored.GetResourceVersion() {
		return conflict(obj)
	}
	m.put(stored, obj)
	return nil
}

// put stores all of an object but its status. It goes where nothing holds it.
func (m *memory) put(stored, obj client.Object) {
	after := m.next(obj)
	setField(after, "Status", stored)
	if !reflect.DeepEqual(field(after, "Spec"), field(stored, "Spec")) {
		after.SetGeneration(stored.GetGeneration() + 1)
	}
	if m.objects[keyOf(obj)] = after; !after.GetDeletionTimestamp().IsZero() && len(after.GetFinalizers()) == 0 {
		delete(m.objects, keyOf(obj))
	}
	into(obj, after)
}

func field(obj client.Object, name string) any {
	if f := reflect.ValueOf(obj).Elem().FieldByName(name); f.IsValid() {
		return f.Interface()
	}
	return nil
}

func setField(obj client.Object, name string, from client.Object) {
	if f := reflect.ValueOf(obj).Elem().FieldByName(name); f.IsValid() {
		f.Set(reflect.ValueOf(copied(from)).Elem().FieldByName(name))
	}
}

func (m *memory) Patch(_ context.Context, obj client.Object, p client.Patch, opts ...client.PatchOption) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	stored := m.objects[keyOf(obj)]
	if stored == nil {
		return notFound(obj)
	}
	after, err := patched(stored, obj, p)
	if err != nil || len((&client.PatchOptions{}).ApplyOptions(opts).DryRun) > 0 {
		return err
	}
	m.put(stored, after)
	into(obj, after)
	return nil
}

// patched is what is stored, with a patch applied.
func patched(stored, obj client.Object, p client.Patch) (client.Object, error) {
	data, err := p.Data(obj)
	if err != nil {
		return nil, err
	}
	if p.Type() == types.JSONPatchType {
		return scaledBy(stored, data)
	}
	var patch, doc map[string]any
	if err := json.Unmarshal(data, &patch); err != nil {
		return nil, err
	}
	before, err := json.Marshal(stored)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(before, &doc); err != nil {
		return nil, err
	}
	if m, ok := patch["metadata"].(map[string]any); ok && m["resourceVersion"] != nil && m["resourceVersion"] != stored.GetResourceVersion() {
		return nil, conflict(obj)
	}
	after, err := json.Marshal(merged(doc, patch))
	if err != nil {
		return nil, err
	}
	result := reflect.New(reflect.TypeOf(stored).Elem()).Interface().(client.Object)
	return result, json.Unmarshal(after, result)
}

// merged is a document with a merge patch applied (RFC 7386).
func merged(doc, patch map[string]any) map[string]any {
	if doc == nil {
		doc = map[string]any{}
	}
	for key, value := range patch {
		inner, isMap := value.(map[string]any)
		switch was, _ := doc[key].(map[string]any); {
		case value == nil:
			delete(doc, key)
		case isMap:
			doc[key] = merged(was, inner)
		default:
			doc[key] = value
		}
	}
	return doc
}

// scaledBy applies the patch by which a workload is scaled.
func scaledBy(stored client.Object, data []byte) (client.Object, error) {
	var ops []struct {
		Op, Path string
		Value    any
	}
	if err := json.Unmarshal(data, &ops); err != nil {
		return nil, err
	}
	after := copied(stored)
	for _, op := range ops {
		n, _ := op.Value.(float64)
		switch {
		case op.Path == "/metadata/uid" && op.Value != string(stored.GetUID()), op.Path == "/metadata/generation" && int64(n) != stored.GetGeneration():
			return nil, apierrors.NewInvalid(schema.GroupKind{Kind: kindName(stored)}, stored.GetName(), nil)
		case op.Path == "/spec/replicas":
			switch o := after.(type) {
			case *appsv1.Deployment:
				o.Spec.Replicas = ptr.To(int32(n))
			case *appsv1.StatefulSet:
				o.Spec.Replicas = ptr.To(int32(n))
			}
		}
	}
	return after, nil
}

func (m *memory) Status() client.SubResourceWriter { return m.SubResource("status") }

func (m *memory) SubResource(string) client.SubResourceClient { return &memoryStatus{m: m} }

type memoryStatus struct {
	client.SubResourceClient // nil: what isn't here isn't used
	m                        *memory
}

func (s *memoryStatus) Update(_ context.Context, obj client.Object, _ ...client.SubResourceUpdateOption) error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	stored := s.m.objects[keyOf(obj)]
	if stored == nil {
		return notFound(obj)
	}
	if !reflect.DeepEqual(field(stored, "Status"), field(obj, "Status")) {
		s.store(stored, obj)
		into(obj, s.m.objects[keyOf(obj)])
	}
	return nil
}

func (s *memoryStatus) Patch(_ context.Context, obj client.Object, p client.Patch, _ ...client.SubResourcePatchOption) error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	stored := s.m.objects[keyOf(obj)]
	if stored == nil {
		return notFound(obj)
	}
	after, err := patched(stored, obj, p)
	if err != nil {
		return err
	}
	s.store(stored, after)
	into(obj, s.m.objects[keyOf(obj)])
	return nil
}

func (s *memoryStatus) store(stored, obj client.Object) {
	after := s.m.next(stored)
	setField(after, "Status", obj)
	s.m.objects[keyOf(obj)] = after
}
