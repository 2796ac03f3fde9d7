package servertime

import (
	"errors"
	"net/http"
	"testing"
	"time"
)

// server answers with the time of its clock, after a while.
type server struct {
	machine *time.Duration // the monotonic clock
	noon    time.Time      // when that began, by the clock of the test's machine
	ahead   time.Duration  // of that clock
	takes   time.Duration
	date    string // what it says instead of the time, where that isn't empty
	err     error
}

func (s *server) RoundTrip(*http.Request) (*http.Response, error) {
	*s.machine += s.takes / 2
	date := s.noon.Add(*s.machine + s.ahead).UTC().Format(http.TimeFormat)
	*s.machine += s.takes / 2
	if s.date != "" {
		date = s.date
	}
	return &http.Response{Header: http.Header{"Date": {date}}, Body: http.NoBody}, s.err
}

// asks a server a hundred times within ten minutes.
func (c *Clock) asks(t *testing.T, s *server) {
	t.Helper()
	transport := c.Follow(s)
	for range 100 {
		request, err := http.NewRequest(http.MethodGet, "https://server", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(request)
		if !errors.Is(err, s.err) {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
		*s.machine += 6003 * time.Millisecond
	}
}

func aClock(s *server) *Clock {
	s.machine, s.noon = new(time.Duration), time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	return &Clock{began: s.noon, ran: func() time.Duration { return *s.machine }}
}

func TestTheServersClockCounts(t *testing.T) {
	const half = 30 * time.Minute
	for name, c := range map[string]struct {
		server server
		off    time.Duration
	}{
		"half an hour ahead":                   {server{ahead: half}, half},
		"half an hour behind":                  {server{ahead: -half}, -half},
		"half an hour ahead and a second away": {server{ahead: half, takes: time.Second}, half},
		"half an hour ahead and a minute away": {server{ahead: half, takes: time.Minute}, 0},
		"what it says is no time":              {server{ahead: half, date: "noon"}, 0},
		"it can't be reached":                  {server{ahead: half, err: errors.New("no route")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			clock := aClock(&c.server)
			clock.asks(t, &c.server)
			if off := clock.Now().Sub(c.server.noon.Add(*c.server.machine)); (off - c.off).Abs() > tolerance {
				t.Errorf("it is %s ahead of the machine's clock, want %s", off, c.off)
			}
		})
	}
}

// What an answer can't tell for certain changes nothing: a freeze is measured by this
// clock.
func TestAClockThatAgreesIsLeftAlone(t *testing.T) {
	for _, s := range []server{{}, {ahead: time.Second}, {ahead: -time.Second}, {takes: time.Second}, {takes: time.Minute}} {
		clock := aClock(&s)
		clock.asks(t, &s)
		if clock.ahead != 0 {
			t.Errorf("a server that is %s ahead and takes %s sets it by %s", s.ahead, s.takes, clock.ahead)
		}
	}
}

// A machine that sleeps has its monotonic clock stand still.
func TestAServersClockThatGoesOnIsFollowed(t *testing.T) {
	s := &server{}
	clock := aClock(s)
	clock.asks(t, s)
	s.ahead = 8 * time.Hour
	clock.asks(t, s)
	if off := clock.Now().Sub(s.noon.Add(*s.machine)); (off - s.ahead).Abs() > tolerance {
		t.Errorf("after eight hours of sleep it is %s ahead", off)
	}
}
