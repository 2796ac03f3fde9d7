package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// detachLimit is how long a device may take to let go of its file. The kernel
// does so at the last close, and others (udev, for one) open devices too.
const detachLimit = 5 * time.Second

// Device returns the loop device that the image is attached to, or "".
func Device(image string) (string, error) {
	devices, err := devicesWhere(func(file string) bool { return file == image })
	if err != nil || len(devices) == 0 {
		return "", err
	}
	return devices[0], nil
}

// Attach returns the image's loop device, attaching it when it has none.
// Callers that attach the same image at the same time must hold a lock.
func Attach(image string) (string, error) {
	device, err := Device(image)
	if err != nil {
		return "", err
	}
	if device != "" {
		return device, Refresh(device)
	}
	file, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return attachFree(file)
}

// attachFree tries free devices until one is ours: between asking for a free
// one and taking it, another process may take it.
func attachFree(file *os.File) (string, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer control.Close()
	for {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return "", fmt.Errorf("find a free loop device: %w", err)
		}
		device := fmt.Sprintf("/dev/loop%d", number)
		if err := configure(device, file); !errors.Is(err, unix.EBUSY) {
			return device, err
		}
	}
}

// configure ties the device to the file, in one step, so that nobody sees the
// device half set up.
func configure(device string, file *os.File) error {
	loop, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer loop.Close()
	config := &unix.LoopConfig{Fd: uint32(file.Fd())}
	copy(config.Info.File_name[:len(config.Info.File_name)-1], file.Name())
	if err := unix.IoctlLoopConfigure(int(loop.Fd()), config); err != nil {
		return fmt.Errorf("attach %s to %s: %w", file.Name(), device, err)
	}
	return nil
}

// Refresh makes the device as large as its image is now.
func Refresh(device string) error {
	return ioctl(device, unix.LOOP_SET_CAPACITY)
}

// Detach ends the device's tie to its file and waits until it has ended.
// A device that isn't tied is fine.
func Detach(device string) error {
	err := ioctl(device, unix.LOOP_CLR_FD)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for end := time.Now().Add(detachLimit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if backingFile(device) == "" {
			return nil
		}
	}
	return fmt.Errorf("%s is still in use: the kernel detaches it at its last close", device)
}

func ioctl(device string, request uint) error {
	loop, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer loop.Close()
	if _, err := unix.IoctlRetInt(int(loop.Fd()), request); err != nil {
		return fmt.Errorf("%s: %w", device, err)
	}
	return nil
}

// devicesWhere returns the attached devices with such a backing file.
func devicesWhere(match func(file string) bool) ([]string, error) {
	entries, err := filepath.Glob("/sys/block/loop*")
	if err != nil {
		return nil, err
	}
	var devices []string
	for _, entry := range entries {
		device := "/dev/" + filepath.Base(entry)
		if file := backingFile(device); file != "" && match(file) {
			devices = append(devices, device)
		}
	}
	return devices, nil
}

// backingFile returns the path of the device's file, or "". The kernel adds
// " (deleted)" once the file is: a new file of that name is another one.
func backingFile(device string) string {
	text, err := os.ReadFile("/sys/block/" + filepath.Base(device) + "/loop/backing_file")
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(text), "\n")
}
