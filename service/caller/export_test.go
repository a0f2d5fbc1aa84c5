package caller

// Cached returns the number of cached tokens.
func (c *Callers) Cached() int {
	c.cache.mu.RLock()
	defer c.cache.mu.RUnlock()
	return len(c.cache.current) + len(c.cache.previous)
}
