package certs

// Follow is the look that [Store.Run] takes.
func (s *Store) Follow() { s.follow() }
