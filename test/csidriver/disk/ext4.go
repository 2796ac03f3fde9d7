package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Format makes an ext4 file system in a new image. All of it is holes, so there
// is nothing to zero, now or in the background.
func Format(image string) error {
	return run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard,assume_storage_prezeroed=1", image)
}

// GrowMounted makes the mounted file system as large as its device. Where there
// is something to grow, the kernel asks for CAP_SYS_RESOURCE.
func GrowMounted(device string) error {
	return run("resize2fs", device)
}

// GrowUnmounted makes the file system as large as its device, before it is
// mounted. It needs a check first, which replays the journal.
func GrowUnmounted(device string) error {
	smaller, err := smallerThanDevice(device)
	if err != nil || !smaller {
		return err
	}
	if err := check(device); err != nil {
		return err
	}
	return run("resize2fs", device)
}

// check repairs what is safe to repair, such as a journal that isn't replayed.
func check(device string) error {
	err := run("e2fsck", "-f", "-p", device)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil // repaired
	}
	return err
}

// superblock is the beginning of ext4's, up to the block size.
type superblock struct {
	_            uint32
	Blocks       uint32
	_            [4]uint32
	LogBlockSize uint32 // of 1024 bytes
}

// smallerThanDevice looks before it asks for a check, which takes long for
// something that is hardly ever needed. Sizes from 2^32 blocks (16 TiB) are misjudged.
func smallerThanDevice(device string) (bool, error) {
	file, err := os.Open(device)
	if err != nil {
		return false, err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return false, err
	}
	var block superblock
	if err := binary.Read(io.NewSectionReader(file, 1024, 1024), binary.LittleEndian, &block); err != nil {
		return false, err
	}
	blockSize := int64(1024) << block.LogBlockSize
	return int64(block.Blocks) < size/blockSize, nil
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
