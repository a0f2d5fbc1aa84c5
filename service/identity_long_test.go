//go:build long

package service_test

import "testing"

// TestManyHeadersDontChangeIdentity is TestHeadersDontChangeIdentity with more than 100,000 cases.
func TestManyHeadersDontChangeIdentity(t *testing.T) { checkForgedHeaders(t, 52_000, 1500) }
