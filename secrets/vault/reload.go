package vault

// Files returns the files that Reload reads: those of the credential.
func (s *Source) Files() []string { return s.session.auth.files() }

// Reload reads the files again, and reports whether they have changed. If they have changed, or if
// retry is set, a login that failed is tried again at the next read, and not after a pause. A valid
// token stays in use. Reload may be called concurrently.
func (s *Source) Reload(retry bool) (changed bool) {
	var credential digest // zero if it can't be read
	if fields, err := s.session.auth.credential(); err == nil {
		credential = digestOf(fields)
	}
	before := s.session.credential.Swap(&credential)
	changed = before == nil || *before != credential
	if changed || retry {
		s.session.retryNow.Store(true)
	}
	return changed
}
