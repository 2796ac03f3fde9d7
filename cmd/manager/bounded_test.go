package main

import (
	"strings"
	"testing"
	"time"
)

func TestAFlagTakesWhatIsWithinItsBounds(t *testing.T) {
	for text, want := range map[string]time.Duration{"1s": time.Second, "90s": 90 * time.Second, "1h": time.Hour} {
		var got time.Duration
		if err := (bounded{&got, time.Second, time.Hour}).Set(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "10", "soon", "999ms", "0", "-1s", "1h1s"} {
		got := time.Minute
		err := (bounded{&got, time.Second, time.Hour}).Set(text)
		if err == nil || !strings.Contains(err.Error(), "write a duration from 1s to 1h0m0s") || got != time.Minute {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

func TestARateIsOneThatSomebodyCanHaveMeant(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "0.3": 0.3, "6": 6, "1000": 1000} {
		got := 1.0
		if err := (perSecond{&got}).Set(text); err != nil || got != want {
			t.Errorf("%s: %g, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "0.001", "1001", "Inf", "NaN", "5/s", "1s"} {
		got := 1.0
		err := (perSecond{&got}).Set(text)
		if err == nil || !strings.Contains(err.Error(), "write a number from 0.01 to 1000") || got != 1 {
			t.Errorf("%q: %g, %v", text, got, err)
		}
	}
}
