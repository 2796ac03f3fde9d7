package main

import (
	"path/filepath"
	"testing"

	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
)

// TestSanity is the conformance suite of the CSI project.
func TestSanity(t *testing.T) {
	d := aDriver(t)
	config := sanity.NewTestConfig()
	config.Address = "unix://" + d.socket()
	config.StagingPath = filepath.Join(d.dir, "staging")
	config.TargetPath = filepath.Join(d.dir, "target")
	config.TestVolumeSize = gibi
	config.TestVolumeExpandSize = 2 * gibi
	config.IDGen = &sanity.DefaultIDGenerator{}
	sanity.Test(t, config)
}
