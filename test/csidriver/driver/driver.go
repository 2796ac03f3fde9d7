package driver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"regexp"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lull-dev/lull/test/csidriver/disk"
	"github.com/lull-dev/lull/test/csidriver/fault"
)

// Config is what the driver is started with.
type Config struct {
	Name     string // the driver's, such as disk.csi.lull.dev
	NodeID   string
	DataDir  string
	PoolSize int64 // bytes, when the pool is made
}

// Driver serves the four CSI services.
type Driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	csi.UnimplementedGroupControllerServer
	csi.UnimplementedNodeServer

	// Faults are those of the control socket.
	Faults *fault.Book

	config    Config
	pool      *disk.Pool
	volumes   disk.Records[volume]
	snapshots disk.Records[snapshot]
	groups    disk.Records[group]
	busy      locks
}

// volume is the record of a volume. Its size is the image's.
type volume struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	Source  string            `json:"source,omitempty"` // id of what it was made from
	Block   bool              `json:"block,omitempty"`  // made for raw use: not formatted
	Context map[string]string `json:"context,omitempty"`
}

// snapshot is the record of a snapshot. Its size is the image's.
type snapshot struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Volume  string    `json:"volume"`
	Group   string    `json:"group,omitempty"` // id of the group that it was cut with
	Block   bool      `json:"block,omitempty"`
	Stamp   time.Time `json:"stamp"`
	ReadyAt time.Time `json:"readyAt"`
	Never   bool      `json:"never,omitempty"` // never ready
}

// group is the record of snapshots that were cut together. It is written last:
// snapshots that name a group without a record are of one that isn't whole.
type group struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Volumes []string `json:"volumes"` // ids, sorted
}

// New opens the pool and takes up what is there.
func New(config Config) (*Driver, error) {
	pool, err := disk.OpenPool(config.DataDir, config.PoolSize)
	if err != nil {
		return nil, err
	}
	book, err := fault.Open(filepath.Join(config.DataDir, "faults.json"), disk.WriteJSON)
	if err != nil {
		return nil, err
	}
	d := &Driver{
		Faults:    book,
		config:    config,
		pool:      pool,
		volumes:   disk.Records[volume]{Dir: pool.Volumes},
		snapshots: disk.Records[snapshot]{Dir: pool.Snapshots},
		groups:    disk.Records[group]{Dir: pool.Groups},
	}
	return d, d.endHalfGroups()
}

// topologyKey is the label of the nodes that reach a volume.
func (d *Driver) topologyKey() string { return "topology." + d.config.Name + "/node" }

func (d *Driver) topology() *csi.Topology {
	return &csi.Topology{Segments: map[string]string{d.topologyKey(): d.config.NodeID}}
}

// idOf makes an id of a name, which may hold anything a file name may not.
func idOf(kind, name string) string {
	sum := sha256.Sum256([]byte(name))
	return kind + "-" + hex.EncodeToString(sum[:8])
}

var idPattern = regexp.MustCompile(`^(vol|snap|group)-[0-9a-f]{16}$`)

// get returns the id's record. An id that we can't have made has none: it must
// not become a path.
func get[T any](records disk.Records[T], id string) (T, error) {
	var none T
	if !idPattern.MatchString(id) {
		return none, status.Errorf(codes.NotFound, "%s: not found", id)
	}
	record, err := records.Get(id)
	if errors.Is(err, disk.ErrNotFound) {
		return none, status.Error(codes.NotFound, err.Error())
	}
	return record, err
}

func isNotFound(err error) bool { return status.Code(err) == codes.NotFound }

// required returns INVALID_ARGUMENT naming the first field that is empty.
// Fields come in pairs of name and value.
func required(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return status.Errorf(codes.InvalidArgument, "%s is missing", pairs[i])
		}
	}
	return nil
}
