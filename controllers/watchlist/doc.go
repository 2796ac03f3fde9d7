// Package watchlist has a watch begin with what is there, read from a list while
// that comes, where there is very much of it.
package watchlist
