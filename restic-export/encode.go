package resticexport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Limits in bytes. A kubelet keeps 4096 of a termination message.
const (
	MaxResult  = 4096
	MaxMessage = 1024
)

// maxListed is how many hosts, paths, packs and locks a result names.
const maxListed = 16

// Encode is the result as JSON of at most MaxResult bytes. What doesn't fit is
// left out, names before numbers and IDs.
func (r Result) Encode() []byte {
	r.Message = Truncate(r.Message, MaxMessage)
	r = r.copied()
	for {
		text := encode(r)
		if len(text) <= MaxResult || !r.shrink() {
			return text
		}
	}
}

// copied is the result with lists of its own, of at most maxListed.
func (r Result) copied() Result {
	r.Locks = first(r.Locks)
	r.Snapshots = first(r.Snapshots)
	for i := range r.Snapshots {
		r.Snapshots[i].Paths = first(r.Snapshots[i].Paths)
		r.Snapshots[i].Host = Truncate(r.Snapshots[i].Host, MaxMessage)
	}
	if r.Repository != nil {
		c := *r.Repository
		c.Hosts, c.Paths = first(c.Hosts), first(c.Paths)
		r.Repository = &c
	}
	if r.Check != nil {
		c := *r.Check
		c.BrokenPacks = first(c.BrokenPacks)
		r.Check = &c
	}
	return r
}

func first[T any](list []T) []T { return append([]T(nil), list[:min(len(list), maxListed)]...) }

// shrink leaves out one thing. It is false where nothing is left to leave out.
func (r *Result) shrink() bool {
	return r.Repository != nil && (drop(&r.Repository.Paths) || drop(&r.Repository.Hosts)) ||
		r.Check != nil && drop(&r.Check.BrokenPacks) ||
		r.shrinkSnapshots() || drop(&r.Locks) || halve(&r.Message) || drop(&r.Snapshots)
}

// shrinkSnapshots leaves out first what is only told, and then what whoever asked
// mostly knows: their order is that of the claims.
func (r *Result) shrinkSnapshots() bool {
	for i := range r.Snapshots {
		s := &r.Snapshots[i]
		if drop(&s.Paths) {
			return true
		}
		if s.Policy != "" {
			s.Policy = ""
			return true
		}
	}
	for i := range r.Snapshots {
		if s := &r.Snapshots[i]; s.Claim != "" {
			s.Claim = ""
			return true
		}
	}
	return false
}

func drop[T any](list *[]T) bool {
	if len(*list) == 0 {
		return false
	}
	*list = (*list)[:len(*list)-1]
	return true
}

func halve(text *string) bool {
	if *text == "" {
		return false
	}
	*text = Truncate(*text, len(*text)/2)
	return true
}

// encode writes < and > as they are, which are otherwise six bytes each.
func encode(r Result) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return fmt.Appendf(nil, `{"cause":%q,"message":"the result can't be written"}`, CauseFailed)
	}
	return bytes.TrimSpace(text.Bytes())
}

// Truncate is the text in valid UTF-8, of at most so many bytes. It never ends in
// a part of a character.
func Truncate(text string, most int) string {
	if len(text) > most {
		for most > 0 && !utf8.RuneStart(text[most]) {
			most--
		}
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "?")
}

// causes are what a condition takes for a reason.
var causes = regexp.MustCompile(`^[A-Z][A-Za-z]{0,63}$`)

// ReadResult reads a container's termination message. It is an error where that
// is not a Result: the container was killed, or it isn't a mover's.
func ReadResult(terminationMessage string) (Result, error) {
	var r Result
	if err := json.Unmarshal([]byte(terminationMessage), &r); err != nil {
		return Result{}, fmt.Errorf("the mover left no result: %w", err)
	}
	if r.Done == (r.Cause != "") {
		return Result{}, errors.New("the mover left a result that is neither done nor has a cause")
	}
	if r.Cause != "" && !causes.MatchString(string(r.Cause)) {
		return Result{}, errors.New("the mover left a cause that is no word")
	}
	return r, nil
}
