package main

import "bytes"

// longestLine is how much of a line is kept, in bytes. restic's lines hold paths,
// which are up to 4096 bytes long.
const longestLine = 64 << 10

// lines is a writer that hands on what is written to it, line by line. What a
// line has beyond longestLine is dropped.
type lines struct {
	each func(line []byte)
	kept []byte
}

// Write never fails: whatever restic says, it goes on.
func (l *lines) Write(text []byte) (int, error) {
	all := len(text)
	for {
		line, rest, isWhole := bytes.Cut(text, []byte("\n"))
		l.kept = append(l.kept, line[:min(len(line), longestLine-len(l.kept))]...)
		if !isWhole {
			return all, nil
		}
		l.flush()
		text = rest
	}
}

// flush hands on a last line that has no end.
func (l *lines) flush() {
	if line := bytes.TrimSpace(l.kept); len(line) > 0 {
		l.each(line)
	}
	l.kept = l.kept[:0]
}
