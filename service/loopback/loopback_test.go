package loopback_test

import (
	"testing"

	"github.com/deskmint/deskmint/service/loopback"
)

func TestHost(t *testing.T) {
	for _, test := range []struct {
		host          string
		want, browser bool
	}{
		{"localhost", true, true},
		{"127.0.0.1", true, true},
		{"127.8.8.8", true, true},
		{"::1", true, true},
		{"::ffff:127.0.0.1", true, true},
		{"acme.localhost", false, true},
		{"xlocalhost", false, false},
		{"localhost.example", false, false},
		{"LOCALHOST", false, false},
		{"localhost.", false, false},
		{"0.0.0.0", false, false},
		{"::", false, false},
		{"128.0.0.1", false, false},
		{"127.1", false, false},
		{"", false, false},
	} {
		if got := loopback.Host(test.host); got != test.want {
			t.Errorf("Host(%q) is %t", test.host, got)
		}
		if got := loopback.BrowserHost(test.host); got != test.browser {
			t.Errorf("BrowserHost(%q) is %t", test.host, got)
		}
	}
}
