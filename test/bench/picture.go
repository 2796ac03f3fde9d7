package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"slices"
	"text/template"
	"time"
)

// pictureText draws timelines one below the other, to one scale.
//
//go:embed picture.svg.tmpl
var pictureText string

// Lengths of the picture, in pixels.
const (
	pictureLeft, pictureWidth = 110, 860
	laneHeight, bandHeight    = 16, 34
	keyWidth, keyHeight       = 185, 30
)

// band is a stretch, and lane an actor's requests, as they are drawn.
type (
	band struct {
		X, Width int
		What     string
		Length   string
		Color    string
	}
	mark struct {
		X, Width int
		Text     string
		IsError  bool
	}
	lane struct {
		Y     int
		Who   string
		Marks []mark
	}
	panel struct {
		Y, Bottom int
		Title     string
		Bands     []band
		Lanes     []lane
	}
)

// colors are those of a timeline's stretches.
var colors = []string{"#c9d7e8", "#f2c879", "#cfe3c4", "#e3d0e6", "#d9d9d9"}

// writePicture writes timelines as an SVG file.
func writePicture(path string, all []*timeline) (err error) {
	drawing, err := template.New("").Parse(pictureText)
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	panels, height := panelsOf(all)
	return drawing.Execute(file, map[string]any{"Keys": keysOf(all[0]), "Panels": panels, "Height": height, "Width": pictureLeft + pictureWidth + 20})
}

// keysOf are the colors' meanings, which all timelines share.
func keysOf(t *timeline) (keys []band) {
	for i, s := range t.stretches {
		keys = append(keys, band{X: 10 + i*keyWidth, What: s.what, Color: colors[i]})
	}
	return keys
}

func panelsOf(all []*timeline) (panels []panel, height int) {
	longest := slices.MaxFunc(all, func(a, b *timeline) int { return int(a.length() - b.length()) }).length()
	y := keyHeight + 30
	for _, t := range all {
		p := panelOf(t, y, longest)
		panels, y = append(panels, p), p.Bottom+40
	}
	return panels, y
}

func panelOf(t *timeline, y int, longest time.Duration) panel {
	at := func(d time.Duration) int { return int(int64(pictureWidth) * d.Milliseconds() / longest.Milliseconds()) }
	p := panel{Y: y, Title: fmt.Sprintf("%s: %d ms", t.title, t.length().Milliseconds())}
	for i, s := range t.stretches {
		p.Bands = append(p.Bands, band{
			X: pictureLeft + at(s.from.Sub(t.start())), Width: at(s.length()),
			What: s.what, Length: fmt.Sprint(s.length().Milliseconds()), Color: colors[i],
		})
	}
	y += bandHeight
	for _, who := range whoOf(t) {
		l := lane{Y: y, Who: who}
		for _, r := range t.requests {
			if r.who == who {
				l.Marks = append(l.Marks, mark{
					X: pictureLeft + at(r.from.Sub(t.start())), Width: max(2, at(r.to.Sub(r.from))),
					Text: fmt.Sprintf("%s %s %s", r.verb, r.what, r.name), IsError: r.code >= 400,
				})
			}
		}
		p.Lanes, y = append(p.Lanes, l), y+laneHeight
	}
	p.Bottom = y
	return p
}

// whoOf are the actors of a timeline, in the order of actors.
func whoOf(t *timeline) (all []string) {
	for _, a := range actors {
		acts := slices.ContainsFunc(t.requests, func(r request) bool { return r.who == a.name })
		if acts && !slices.Contains(all, a.name) {
			all = append(all, a.name)
		}
	}
	return all
}
