package clock

import (
	"fmt"
	"net/url"

	"github.com/deskmint/deskmint/service/loopback"
)

// Settings is the block `clock` of the configuration file.
type Settings struct {
	// References are URLs of hosts whose clock is compared with this machine's, by the header Date
	// of their answers. The secret store's and the issuers' clocks are compared, too.
	References []string `yaml:"references"`
}

// Check reports every fault of the settings, by its key relative to the block.
func (s Settings) Check(report func(key, message string)) {
	for i, reference := range s.References {
		u, err := url.Parse(reference)
		if err != nil || u.Hostname() == "" || u.User != nil ||
			u.Scheme != "https" && (u.Scheme != "http" || !loopback.Host(u.Hostname())) {
			report(fmt.Sprintf("references[%d]", i), "must be an https URL, such as https://time.example; "+
				"http is for loopback hosts only")
		}
	}
}
