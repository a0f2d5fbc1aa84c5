package vault

// Files returns the files that Reload reads: that of the authorities and those of the credential.
func (s *Source) Files() []string {
	files := s.session.auth.files()
	if ca := s.wire.ca; ca != nil && ca.settings.CA != "" {
		files = append(files, ca.settings.CA)
	}
	return files
}

// Reload reads the files again, and reports whether they have changed. Other authorities are
// trusted from the next connection on. If the files have changed, or if retry is set, a login that
// failed is tried again at the next read, and not after a pause. A valid token stays in use.
//
// Invalid authorities are logged, and the previous ones stay in use. Reload may be called
// concurrently.
func (s *Source) Reload(retry bool) (changed bool) {
	changed = s.wire.ca != nil && s.wire.ca.reload()
	var credential digest // zero if it can't be read
	if fields, err := s.session.auth.credential(); err == nil {
		credential = digestOf(fields)
	}
	if before := s.session.credential.Swap(&credential); before == nil || *before != credential {
		changed = true
	}
	if changed || retry {
		s.session.retryNow.Store(true)
	}
	return changed
}
