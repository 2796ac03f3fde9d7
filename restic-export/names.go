package resticexport

import "github.com/lull-dev/lull/snapshot/names"

// JobName is the name of a mover's Job: one for each kind of task and each set of
// parts. The kind and readable begin it. At most 63 characters.
func JobName(kind, readable string, parts ...string) string {
	return names.Unique(kind+"-"+readable, append([]string{kind, readable}, parts...)...)
}
