package certs

// Follow is the reload that [Store.Run] does.
func (s *Store) Follow() { s.follow() }
