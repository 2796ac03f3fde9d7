// Command manager runs the controllers of Lull.
//
// Here are the flags, what the manager waits for before it starts, and the other
// things that its image can be run as: a mount check, and the check of a hold. What is done with an object
// belongs into controllers. With the tag failpoints it is the manager of the fault
// suite, which halts at every write.
package main
