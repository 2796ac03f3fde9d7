package driver

import (
	"maps"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lull-dev/lull/test/csidriver/fault"
)

// classFaults returns the faults that a class asks for. The sidecars add
// parameters of their own; any other is a slip of the pen.
func classFaults(parameters map[string]string) (fault.Params, error) {
	params := fault.Params(maps.Clone(parameters))
	maps.DeleteFunc(params, func(key, _ string) bool { return strings.HasPrefix(key, "csi.storage.k8s.io/") })
	if err := params.Check(); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return params, nil
}

func (d *Driver) createFaults(id, name string, class fault.Params) error {
	subject := fault.Subject{VolumeID: id, VolumeName: name}
	if err := d.fail(fault.CreateError, subject, class); err != nil {
		return err
	}
	met, err := d.Faults.Meet(subject, class, fault.CreateDelay)
	if err != nil {
		return err
	}
	time.Sleep(met.Duration(fault.CreateDelay))
	return nil
}

// fail returns the error that the key asks for, if any. A call that fails meets
// no other fault, and none is counted.
func (d *Driver) fail(key string, subject fault.Subject, class fault.Params) error {
	met, err := d.Faults.Meet(subject, class, key)
	if err != nil {
		return err
	}
	if code := met.Code(key); code != codes.OK {
		return status.Error(code, "asked for by "+key)
	}
	return nil
}
