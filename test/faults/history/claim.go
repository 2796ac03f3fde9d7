package history

// claims is what is known of claims, volumes and restores at one moment.
type claims struct {
	// volumes as they were written last, by their names, and the writes.
	volumes map[string]*volume
	written map[string]*Event
	// made are the claims that the operator made itself.
	made map[namespaceName]bool
	// restores as they were written last, by their UIDs.
	restores map[string]*restore
}

func newClaims() claims {
	return claims{volumes: map[string]*volume{}, written: map[string]*Event{}, made: map[namespaceName]bool{}, restores: map[string]*restore{}}
}

func (c *claims) readVolume(e *Event) {
	if v, ok := answer[volume](e); ok && e.Verb != "delete" {
		c.volumes[v.Metadata.Name], c.written[v.Metadata.Name] = v, e
	}
}

func (c *claims) readRestore(e *Event) {
	if r, ok := answer[restore](e); ok && e.Verb != "delete" {
		c.restores[r.Metadata.UID] = r
	}
}

// readClaim holds the deletion of a claim to the volume as it is then.
func (j *judge) readClaim(e *Event) {
	key := namespaceName{e.Object.Namespace, e.Object.Name}
	if e.Verb == "create" {
		j.claims.made[key] = e.byOperator()
		return
	}
	if !e.byOperator() {
		return
	}
	deleted, ok := answer[claim](e)
	if !ok || deleted.Spec.VolumeName == "" {
		return
	}
	name := deleted.Spec.VolumeName
	v := j.claims.volumes[name]
	if v == nil || v.Spec.Policy == "Retain" || !j.claims.isApplications(key, name) || j.claims.mayGo(key.Namespace, name) || j.mayLack(e.Received) {
		return
	}
	j.violates(Retain, []*Event{j.claims.written[name], e}, "claim %s/%s was deleted while its volume %s was %s", key.Namespace, key.Name, name, v.Spec.Policy)
}

// isApplications is true for a claim with data of an application's: one that the
// operator didn't make, or whose volume the application has run on.
func (c *claims) isApplications(key namespaceName, volume string) bool {
	if !c.made[key] {
		return true
	}
	for _, r := range c.restores {
		for _, restored := range r.Status.Claims {
			if restored.PreviousVolume == volume || restored.RestoredVolume == volume && r.Status.ScaledUpAt != nil {
				return true
			}
		}
	}
	return false
}

// mayGo is true for a previous volume that its owner doesn't want kept.
func (c *claims) mayGo(namespace, volume string) bool {
	for _, r := range c.restores {
		isUnwanted := r.Spec.PreviousClaims == "Delete" && r.Status.RollBack == nil || r.Spec.ReleasePrevious
		for _, restored := range r.Status.Claims {
			if r.Metadata.Namespace == namespace && restored.PreviousVolume == volume && isUnwanted {
				return true
			}
		}
	}
	return false
}
