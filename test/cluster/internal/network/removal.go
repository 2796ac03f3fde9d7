package network

import (
	"fmt"
	"strings"
)

// ourPrefixes begin the names of chains that are there only for the cluster.
var ourPrefixes = []string{"LULL-", "KUBE-", "CNI-"}

func ours(chain string) bool {
	for _, prefix := range ourPrefixes {
		if strings.HasPrefix(chain, prefix) {
			return true
		}
	}
	return false
}

// removal returns what iptables-restore --noflush must be told, so that of what
// iptables-save wrote all that is ours goes and all else stays.
func removal(saved string) string {
	var script, table strings.Builder
	var chains []string
	for line := range strings.Lines(saved) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table.Reset()
			chains = nil
			fmt.Fprintln(&table, line)
		case strings.HasPrefix(line, ":"):
			if name := strings.Fields(line[1:])[0]; ours(name) {
				chains = append(chains, name)
				fmt.Fprintf(&table, ":%s - [0:0]\n", name) // empties it
			}
		case strings.HasPrefix(line, "-A ") && callsOurs(line):
			fmt.Fprintf(&table, "-D %s\n", strings.TrimPrefix(line, "-A "))
		case line == "COMMIT" && len(chains) > 0:
			for _, name := range chains {
				fmt.Fprintf(&table, "-X %s\n", name)
			}
			fmt.Fprintf(&script, "%sCOMMIT\n", table.String())
		}
	}
	return script.String()
}

// callsOurs says whether a rule of a chain that isn't ours calls one that is.
func callsOurs(rule string) bool {
	fields := strings.Fields(rule)
	if ours(fields[1]) {
		return false
	}
	for i, field := range fields[:len(fields)-1] {
		if (field == "-j" || field == "-g") && ours(fields[i+1]) {
			return true
		}
	}
	return false
}
