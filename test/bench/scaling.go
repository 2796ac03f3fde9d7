package main

import (
	_ "embed"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"text/template"
)

// scalingText draws charts one below the other, over the number of policies.
//
//go:embed scaling.svg.tmpl
var scalingText string

// Lengths of the picture, in pixels.
const (
	chartLeft, chartWidth = 60, 560
	chartTop, chartHeight = 60, 200
	keyLine               = 18
	scalingWidth          = chartLeft + chartWidth + 40
	// ticksWanted is about how many an axis has.
	ticksWanted = 5
)

type (
	// chart is what of one unit depends on the number of policies.
	chart struct {
		title  string
		curves []curve
	}
	// curve is a value at each step. One that is a limit is the same at all.
	curve struct {
		name    string
		color   string
		isLimit bool
		value   func(scaleStep) float64
	}
)

// scalingCharts are what is drawn.
var scalingCharts = []chart{
	{"Seconds until the last of so many backups is created", []curve{
		{name: "backups of policies that are all due at once", color: "#1f6fb4", value: func(s scaleStep) float64 { return s.skew.Seconds() }},
		{name: "as many bare objects, created by the same kind of client", color: "#8a8a8a", value: func(s scaleStep) float64 { return s.baseline.Seconds() }},
		{name: fmt.Sprintf("%.1f times as long as bare objects: the target", maxSkewRatio), color: "#c0392b", isLimit: true,
			value: func(s scaleStep) float64 { return maxSkewRatio * s.baseline.Seconds() }},
	}},
	{"MiB that the manager has resident", []curve{
		{name: "at most, until the last backup is created", color: "#1f6fb4", value: func(s scaleStep) float64 { return s.peak }},
		{name: "at rest", color: "#6aa84f", value: func(s scaleStep) float64 { return s.rest }},
		{name: fmt.Sprintf("%d MiB: the target", maxPolicyMemory), color: "#c0392b", isLimit: true, value: func(scaleStep) float64 { return maxPolicyMemory }},
	}},
}

// What is drawn of them.
type (
	tick struct {
		At   int
		Text string
	}
	dot struct {
		X, Y int
		Text string
	}
	drawnCurve struct {
		Name, Color, Points string
		IsLimit             bool
		KeyY                int
		Dots                []dot
	}
	drawnChart struct {
		Title                    string
		TitleY, Top, Bottom      int
		Left, Right              int
		Across, Up               []tick
		Curves                   []drawnCurve
		AcrossTitle              string
		AcrossTitleX, AcrossText int
	}
)

// drawScaling draws an SVG file. Without a path it draws nothing.
func drawScaling(path string, steps []scaleStep) (err error) {
	if path == "" {
		return nil
	}
	drawing, err := template.New("").Parse(scalingText)
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var drawn []drawnChart
	y := 0
	for _, c := range scalingCharts {
		d := c.draw(steps, y)
		drawn, y = append(drawn, d), d.AcrossText+keyLine
	}
	return drawing.Execute(file, map[string]any{"Charts": drawn, "Width": scalingWidth, "Height": y})
}

// draw places a chart below y.
func (c chart) draw(steps []scaleStep, y int) drawnChart {
	top := y + chartTop + keyLine*len(c.curves)
	full := steps[len(steps)-1]
	d := drawnChart{
		Title: c.title, TitleY: y + chartTop/2, Top: top, Bottom: top + chartHeight, Left: chartLeft, Right: chartLeft + chartWidth,
		AcrossTitle:  fmt.Sprintf("policies, each with an application and %d backups that have ended", full.ended/full.policies),
		AcrossTitleX: chartLeft + chartWidth/2, AcrossText: top + chartHeight + 2*keyLine,
	}
	highest := c.highest(steps)
	x := func(policies float64) int { return chartLeft + int(chartWidth*policies/float64(full.policies)) }
	up := func(value float64) int { return d.Bottom - int(chartHeight*value/highest) }
	for _, at := range ticks(float64(full.policies)) {
		d.Across = append(d.Across, tick{x(at), fmt.Sprint(at)})
	}
	for _, at := range ticks(highest) {
		d.Up = append(d.Up, tick{up(at), fmt.Sprint(at)})
	}
	for i, one := range c.curves {
		drawn := drawnCurve{Name: one.name, Color: one.color, IsLimit: one.isLimit, KeyY: y + chartTop/2 + keyLine*(i+1)}
		var points []string
		for _, s := range steps {
			at := dot{x(float64(s.policies)), up(one.value(s)), fmt.Sprintf("%d policies: %.1f", s.policies, one.value(s))}
			points, drawn.Dots = append(points, fmt.Sprintf("%d,%d", at.X, at.Y)), append(drawn.Dots, at)
		}
		drawn.Points = strings.Join(points, " ")
		d.Curves = append(d.Curves, drawn)
	}
	return d
}

// highest is what the chart reaches to, a little more than its highest value.
func (c chart) highest(steps []scaleStep) (most float64) {
	for _, one := range c.curves {
		for _, s := range steps {
			most = max(most, 1.1*one.value(s))
		}
	}
	return most
}

// ticks are round numbers from zero up to the highest.
func ticks(highest float64) (all []float64) {
	step := math.Pow(10, math.Floor(math.Log10(highest/ticksWanted)))
	for _, times := range []float64{2, 2.5, 2} { // 2, 5 and 10 of it
		if highest/step <= 1.5*ticksWanted {
			break
		}
		step *= times
	}
	for i := range int(highest/step) + 1 {
		all = append(all, float64(i)*step)
	}
	return all
}
