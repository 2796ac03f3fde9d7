package schedule

import "time"

// jumpTolerance is by how much the clocks may come apart. A clock that is kept by
// NTP runs faster or slower, and then both of them do; it is put where it is
// wrong by more.
const jumpTolerance = time.Second

// Jump is by how much the wall clock was put, in the time that passed on it and on
// the monotonic clock, 0 where it wasn't. It is less than 0 where it was put back.
// To a machine that slept it was put forward: there the monotonic clock stands
// still (https://pkg.go.dev/time#hdr-Monotonic_Clocks), and with it every timer.
func Jump(wall, monotonic time.Duration) time.Duration {
	if by := wall - monotonic; by.Abs() > jumpTolerance {
		return by
	}
	return 0
}
