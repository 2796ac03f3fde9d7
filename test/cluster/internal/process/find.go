package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Marked returns the processes that have a NAME=value in their environment, but
// for this one and its ancestors.
func Marked(marker string) ([]Identity, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	own := ancestors()
	var found []Identity
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || own[pid] || !hasMarker(pid, marker) {
			continue
		}
		if identity, err := Identify(pid); err == nil {
			found = append(found, identity)
		}
	}
	return found, nil
}

func hasMarker(pid int, marker string) bool {
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	for variable := range bytes.SplitSeq(environment, []byte{0}) {
		if string(variable) == marker {
			return true
		}
	}
	return false
}

// ancestors are the numbers of this process and of those that it descends from.
func ancestors() map[int]bool {
	own := map[int]bool{}
	for pid := os.Getpid(); pid > 1; {
		own[pid] = true
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			break
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if pid, err = strconv.Atoi(string(fields[1])); err != nil {
			break
		}
	}
	return own
}
