package caller

// Remembered is how many tokens are.
func (c *Callers) Remembered() int {
	c.memo.mu.RLock()
	defer c.memo.mu.RUnlock()
	return len(c.memo.young) + len(c.memo.aged)
}
