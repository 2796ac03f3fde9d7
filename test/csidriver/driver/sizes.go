package driver

import (
	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	mebi = 1 << 20
	// defaultSize is a volume's when nothing is asked for.
	defaultSize = 1 << 30
	// smallestSize is the smallest that ext4 has a journal in.
	smallestSize = 8 * mebi
)

// sizeFor returns the size in bytes that the range asks for, at least the given
// one, in whole mebibytes where the limit leaves room for that.
func sizeFor(asked *csi.CapacityRange, least int64) (int64, error) {
	need, limit := asked.GetRequiredBytes(), asked.GetLimitBytes()
	if need < 0 || limit < 0 {
		return 0, status.Error(codes.InvalidArgument, "a size below zero")
	}
	size := max(need, least, smallestSize)
	if limit != 0 && size > limit {
		return 0, status.Errorf(codes.OutOfRange, "%d bytes are needed, more than the limit of %d", size, limit)
	}
	if whole := (size + mebi - 1) / mebi * mebi; limit == 0 || whole <= limit {
		size = whole
	}
	return size, nil
}

// fits tells whether a volume of that size is what the range asks for.
func fits(asked *csi.CapacityRange, size int64) bool {
	need, limit := asked.GetRequiredBytes(), asked.GetLimitBytes()
	return size >= need && (limit == 0 || size <= limit)
}

// checkRoom refuses a size that the pool could not hold when full.
func (d *Driver) checkRoom(size int64) error {
	free, err := d.pool.Free()
	if err != nil {
		return err
	}
	if size > free {
		return status.Errorf(codes.OutOfRange, "%d bytes are more than the %d that are free", size, free)
	}
	return nil
}
