package framework

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// PageBlocks are the code blocks of a language below a heading of a page of docs,
// up to the next heading of its level. It is an error where there is none. It is
// read from a suite's own folder, two below the root.
func PageBlocks(page, heading, language string) (blocks []string, err error) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
	if err != nil {
		return nil, err
	}
	_, section, found := strings.Cut(string(text), heading+"\n")
	if !found {
		return nil, fmt.Errorf("%s has no heading %q", page, heading)
	}
	level := strings.Index(heading, " ")
	next := regexp.MustCompile(fmt.Sprintf("(?m)^#{2,%d} ", max(level, 2))) // a comment of a shell has one
	if end := next.FindStringIndex(section); end != nil {
		section = section[:end[0]]
	}
	for _, block := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, block[1])
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s has no %s below %q", page, language, heading)
	}
	return blocks, nil
}

// Typed is what commands say that a person types into a shell. They end at the
// first that fails. environment is added to that of the suite.
func Typed(ctx context.Context, commands string, environment ...string) (said string, err error) {
	var complaint strings.Builder
	shell := exec.CommandContext(ctx, "bash", "-ec", commands)
	shell.Env = append(os.Environ(), environment...)
	shell.Stderr = &complaint
	out, err := shell.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s%s", err, complaint.String(), out)
	}
	return string(out), err
}
