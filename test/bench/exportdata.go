package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/test/framework"
)

const (
	// largeFiles is how many files the large volume has.
	largeFiles = 4
	// smallFile is the size of a small one, and perFolder how many are in a folder.
	smallFile = 4 << 10
	perFolder = 1000
	// roomPerFile is what a small file takes of a volume: ext4 makes an inode for
	// each 16 KiB, and half of them are to remain.
	roomPerFile = 32 << 10
)

// exportedVolume is a volume whose export is measured: that of an application which
// leaves it alone.
type exportedVolume struct {
	framework.Application
	title string
	// n is by what its figures are known: 1 for large files, else the number of
	// small ones.
	n int
	// room is what its data takes, in bytes.
	room int64
	// write writes the data into a folder of a pod.
	write func(ctx context.Context, b *bench, pod *corev1.Pod, folder string) error
}

// exportedVolumes are those that are asked for.
func exportedVolumes(namespace string, o options) (all []exportedVolume) {
	if o.exportBytes > 0 {
		all = append(all, exportedVolume{
			Application: framework.Tools(namespace, "large", "", "large-files"), n: 1,
			title: resource.NewQuantity(o.exportBytes, resource.BinarySI).String() + " in large files",
			room:  o.exportBytes + o.exportBytes/10, // of a file system
			write: func(ctx context.Context, b *bench, pod *corev1.Pod, folder string) error {
				return b.writeLarge(ctx, pod, folder, o.exportBytes)
			},
		})
	}
	if o.exportFiles > 0 {
		all = append(all, exportedVolume{
			Application: framework.Tools(namespace, "small", "", "small-files"), n: o.exportFiles,
			title: fmt.Sprintf("%d files of %d KiB", o.exportFiles, smallFile>>10),
			room:  int64(o.exportFiles) * roomPerFile,
			write: func(ctx context.Context, b *bench, pod *corev1.Pod, folder string) error {
				return b.writeSmall(ctx, pod, folder, o.exportFiles)
			},
		})
	}
	return all
}

// claim is a new claim with room for the data.
func (v exportedVolume) claim(name string) *corev1.PersistentVolumeClaim {
	claim := framework.Claim(v.Namespace, name)
	claim.Spec.Resources.Requests[corev1.ResourceStorage] = v.size()
	return claim
}

func (v exportedVolume) size() resource.Quantity {
	size := framework.Claim(v.Namespace, "").Spec.Resources.Requests[corev1.ResourceStorage]
	size.Add(*resource.NewQuantity((v.room>>20+1)<<20, resource.BinarySI))
	return size
}

// fill starts the application and writes its data. What is written stays as it is
// for all rounds.
func (b *bench) fill(ctx context.Context, v exportedVolume) error {
	if err := errors.Join(b.Create(ctx, v.claim(v.Claims[0])), b.Start(ctx, v.Application)); err != nil {
		return err
	}
	var pods []corev1.Pod
	err := await(ctx, v.Name+" is ready", func(ctx context.Context) (err error) { pods, err = b.ReadyPods(ctx, v.Application); return err })
	if err != nil {
		return err
	}
	if err := v.write(ctx, b, &pods[0], "/"+v.Claims[0]); err != nil {
		return err
	}
	_, err = b.Sh(ctx, &pods[0], "sync")
	return err
}

// writeLarge writes so many bytes, in a few files.
func (b *bench) writeLarge(ctx context.Context, pod *corev1.Pod, folder string, size int64) error {
	line := fmt.Sprintf("set -e; for i in $(seq %d); do head -c %d /dev/urandom > %s/file-$i; done", largeFiles, size/largeFiles, folder)
	_, err := b.Sh(ctx, pod, line)
	return err
}

// writeSmall writes so many small files. They come as one archive, which one process
// unpacks: a process a file would take minutes.
func (b *bench) writeSmall(ctx context.Context, pod *corev1.Pod, folder string, n int) error {
	archive, to := io.Pipe()
	go func() { to.CloseWithError(writeArchive(to, n)) }()
	var failed bytes.Buffer
	in := hooks.Container{Namespace: pod.Namespace, Pod: pod.Name, Name: pod.Spec.Containers[0].Name}
	err := b.Executor.Exec(ctx, in, []string{"tar", "-x", "-C", folder}, hooks.Streams{In: archive, Out: io.Discard, Err: &failed})
	archive.Close() // so that the writing ends where the unpacking has failed
	if err != nil {
		return fmt.Errorf("tar in %s: %w: %s", pod.Name, err, strings.TrimSpace(failed.String()))
	}
	return nil
}

// writeArchive writes an archive with so many small files of random content, in
// folders.
func writeArchive(to io.Writer, n int) error {
	buffer := bufio.NewWriterSize(to, 1<<20)
	archive, now, content := tar.NewWriter(buffer), time.Now(), make([]byte, smallFile)
	for i := range n {
		folder := fmt.Sprintf("folder-%d/", i/perFolder)
		if i%perFolder == 0 {
			if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder, Mode: 0o755, ModTime: now}); err != nil {
				return err
			}
		}
		file := &tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%sfile-%d", folder, i%perFolder), Mode: 0o644, Size: smallFile, ModTime: now}
		if err := archive.WriteHeader(file); err != nil {
			return err
		}
		rand.Read(content) // it never fails
		if _, err := archive.Write(content); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), buffer.Flush())
}
