package resticexport

import "encoding/json"

// Progress is what a mover prints every few seconds, as one line of JSON, while
// restic reads or writes.
type Progress struct {
	// Percent from 0 to 100.
	Percent float64 `json:"percent"`
	Files   int64   `json:"files"`
	Bytes   int64   `json:"bytes"`
	// AllFiles and AllBytes grow while restic still looks at the volume.
	AllFiles int64 `json:"allFiles"`
	AllBytes int64 `json:"allBytes"`
	// SecondsLeft is restic's guess, 0 where it has none.
	SecondsLeft int64 `json:"secondsLeft,omitempty"`
}

// ProgressOf is that of a status of restic's.
func ProgressOf(m Message) Progress {
	return Progress{
		Percent: 100 * m.PercentDone, SecondsLeft: m.SecondsRemaining,
		Files: m.FilesDone + m.FilesRestored + m.FilesSkipped, AllFiles: m.TotalFiles,
		Bytes: m.BytesDone + m.BytesRestored + m.BytesSkipped, AllBytes: m.TotalBytes,
	}
}

// progressLine is how it is told from what else a mover prints.
type progressLine struct {
	Progress *Progress `json:"progress"`
}

// Line is the progress as a mover prints it.
func (p Progress) Line() string {
	line, err := json.Marshal(progressLine{&p})
	if err != nil {
		return "" // not a number: nothing was to be done
	}
	return string(line)
}

// ReadProgress reads a line of a mover's log. It is false for another line.
func ReadProgress(line string) (Progress, bool) {
	var l progressLine
	if err := json.Unmarshal([]byte(line), &l); err != nil || l.Progress == nil {
		return Progress{}, false
	}
	return *l.Progress, true
}
