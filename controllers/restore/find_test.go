package restore

import (
	"strings"
	"testing"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// A slip in the place of a repository makes a new one there: whoever looks for a
// backup in it, after a loss, has to be told.
func TestWhatWasThereWhereABackupIsNotFound(t *testing.T) {
	for name, c := range map[string]struct {
		contents *v1alpha1.RepositoryContents
		says     string
	}{
		"not looked at yet":     {nil, "no backup of any application: see that spec.backend of ResticRepository offsite"},
		"what others wrote":     {&v1alpha1.RepositoryContents{Paths: []string{"/srv"}}, "no backup of any application"},
		"of other applications": {&v1alpha1.RepositoryContents{Hosts: []string{"shop/db", "shop/www"}}, "backups of shop/db, shop/www, of which spec.source.repository.application names one"},
	} {
		r := &v1alpha1.ResticRepository{}
		r.Name, r.Status.Contents = "offsite", c.contents
		if says := whatWasThere(r); !strings.Contains(says, c.says) {
			t.Errorf("%s: %q", name, says)
		}
	}
}
