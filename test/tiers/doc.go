// Command tiers runs tiers of tests, each as `make test-<tier>`. Each argument is a lane:
// tiers with commas between them, which run one after the other. The lanes run
// side by side, so tiers that disturb each other share one:
//
//	go run ./test/tiers unit,integration e2e,faults
//
// Every line of output begins with its tier. At the end stand what failed, where
// the time went, and one line of counts.
package main
