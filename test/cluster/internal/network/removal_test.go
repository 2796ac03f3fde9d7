package network

import "testing"

func TestRemovalTakesWhatIsOursAndLeavesTheRest(t *testing.T) {
	for _, test := range []struct{ name, saved, want string }{
		{"nothing of ours", `*filter
:INPUT ACCEPT [0:0]
:DOCKER - [0:0]
-A INPUT -j DOCKER
COMMIT
`, ""},
		{"ours among others'", `# a comment
*filter
:INPUT ACCEPT [12:720]
:DOCKER - [0:0]
:KUBE-SERVICES - [0:0]
:LULL-INPUT - [0:0]
-A INPUT -j LULL-INPUT
-A INPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A INPUT -j DOCKER
-A KUBE-SERVICES -j KUBE-MARK
-A LULL-INPUT -i lo -j RETURN
COMMIT
*raw
:PREROUTING ACCEPT [0:0]
COMMIT
`, `*filter
:KUBE-SERVICES - [0:0]
:LULL-INPUT - [0:0]
-D INPUT -j LULL-INPUT
-D INPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-X KUBE-SERVICES
-X LULL-INPUT
COMMIT
`},
	} {
		if got := removal(test.saved); got != test.want {
			t.Errorf("%s:\n%s\nwant:\n%s", test.name, got, test.want)
		}
	}
}
