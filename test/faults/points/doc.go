// Package points lists the failpoints of the manager: every write to the API
// and every command in a container, found in the code by its types, so that
// none can be forgotten.
//
// A failpoint is named by what is done and by the functions that do it, the
// innermost first. A function that is called from one place alone names itself;
// one that several share (save, changeVolume) is named together with each of
// its callers, up to three deep, as far as the code tells who calls whom.
//
// What befalls the manager there belongs into test/faults.
package points
