package backup

import (
	"math"
	"slices"
)

// slots are what namespaces share: attempts, thaws, the snapshots that a driver
// cuts at once. Whoever has them locks them.
type slots struct {
	size, taken int
	// by whom, by namespace.
	by map[string]int
}

func newSlots(size int) slots { return slots{size: max(1, size), by: map[string]int{}} }

func (s *slots) free() int { return s.size - s.taken }

func (s *slots) take(namespace string, n int) {
	s.taken += n
	s.by[namespace] += n
}

func (s *slots) giveBack(namespace string, n int) {
	s.taken -= n
	if s.by[namespace] -= n; s.by[namespace] == 0 {
		delete(s.by, namespace)
	}
}

// isWithinHalf is true for a namespace that has at most half of all with n more.
// One that has none may take any number: what is cut at once can't be split.
func (s *slots) isWithinHalf(namespace string, n int) bool {
	return s.by[namespace] == 0 || s.by[namespace]+n <= s.size/2
}

// leavesAsMany is true for a namespace that leaves as many free as it has, with one
// more. So one can take half of all, the next half of the rest, and so on: there is
// one left for whoever comes next.
func (s *slots) leavesAsMany(namespace string) bool { return s.by[namespace] < s.free() }

// line is who waits, by namespaces that take turns. Before the first of a namespace
// each other namespace has at most one turn of the same rank.
type line[T any] struct {
	// namespaces in which somebody waits, in the order of their turns.
	namespaces []string
	waiting    map[string][]T
}

func newLine[T any]() line[T] { return line[T]{waiting: map[string][]T{}} }

// put has somebody wait at a place among those of its namespace, from 0. A namespace
// that nobody waited in comes last.
func (l *line[T]) put(namespace string, at int, who T) {
	if len(l.waiting[namespace]) == 0 {
		l.namespaces = append(l.namespaces, namespace)
	}
	l.waiting[namespace] = slices.Insert(l.waiting[namespace], at, who)
}

// drop takes out who doesn't want to wait any more.
func (l *line[T]) drop(namespace string, is func(T) bool) {
	if l.waiting[namespace] = slices.DeleteFunc(l.waiting[namespace], is); len(l.waiting[namespace]) > 0 {
		return
	}
	delete(l.waiting, namespace)
	l.namespaces = slices.DeleteFunc(l.namespaces, func(n string) bool { return n == namespace })
}

// notYet is the rank of whoever isn't served, even if nobody else waits.
const notYet = math.MaxInt

// next is the namespace whose first is to be served: the one of the lowest rank, from
// 0, and of several the one whose turn it is.
func (l *line[T]) next(rank func(namespace string, first T) int) (namespace string, found bool) {
	lowest := notYet
	for _, n := range l.namespaces {
		if r := rank(n, l.waiting[n][0]); r < lowest {
			namespace, lowest = n, r
		}
		if lowest == 0 {
			break
		}
	}
	return namespace, lowest < notYet
}

// serve takes the first of a namespace out. Its next turn comes after all others'.
func (l *line[T]) serve(namespace string) T {
	first, rest := l.waiting[namespace][0], l.waiting[namespace][1:]
	l.namespaces = slices.DeleteFunc(l.namespaces, func(n string) bool { return n == namespace })
	if delete(l.waiting, namespace); len(rest) > 0 {
		l.waiting[namespace] = rest
		l.namespaces = append(l.namespaces, namespace)
	}
	return first
}

// inOthers is how many wait in other namespaces.
func (l *line[T]) inOthers(namespace string) (n int) {
	for other, waiting := range l.waiting {
		if other != namespace {
			n += len(waiting)
		}
	}
	return n
}
