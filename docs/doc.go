// Package docs holds what users read, and no code but tests: that every package
// stands in ARCHITECTURE.md, that links lead to what is there, and that pictures are
// as the code that decides draws them.
package docs
