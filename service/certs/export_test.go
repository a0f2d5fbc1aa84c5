package certs

// ReloadIfChanged is the reload that [Store.Run] does.
func (s *Store) ReloadIfChanged() { s.reloadIfChanged() }
