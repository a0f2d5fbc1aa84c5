package config

import (
	"net/url"

	"github.com/deskmint/deskmint/service/loopback"
)

// Clock contains the settings of the check of this machine's clock.
type Clock struct {
	// References are URLs of hosts whose clock is compared with this machine's, by the header Date
	// of their answers. The secret store's and the issuers' clocks are compared, too.
	References []string `yaml:"references"`
}

func (c Clock) check(at place) {
	for i, reference := range c.References {
		u, err := url.Parse(reference)
		if err != nil || u.Hostname() == "" || u.User != nil ||
			u.Scheme != "https" && (u.Scheme != "http" || !loopback.Host(u.Hostname())) {
			at.at("references").index(i).problem("must be an https URL, such as https://time.example; " +
				"http is for loopback hosts only")
		}
	}
}
