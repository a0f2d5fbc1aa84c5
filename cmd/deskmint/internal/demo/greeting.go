package demo

import (
	"fmt"
	"io"

	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/zendesk"
)

// ReleaseLog writes the log and the audit records that were held back. Call it if the service ends
// before [Demo.Greet].
func (d *Demo) ReleaseLog() { d.output.release() }

// Greet prints what to do next, with command lines to paste. The log follows it, because the first
// lines in a terminal are those that are read.
func (d *Demo) Greet(w io.Writer, at Addresses) {
	defer d.ReleaseLog()
	name := d.snapshot.Names()[0]
	conf, _ := d.snapshot.Configuration(name)
	role := ""
	if !conf.Profile.Serves(zendesk.EndUser) {
		role = `,"role":"ROLE_AGENT"`
	}
	user := `"user":{"email":"ana@customer.example","emailVerified":true,"name":"Ana Customer"` + role + `}`
	fmt.Fprintf(w, `
Sign somebody in, in your browser:

    %[1]s/

Or ask for a token over REST. The caller's key is %[2]s:

curl -sS http://%[3]s/v1/configurations/%[4]s:mintToken -H 'Authorization: Bearer %[2]s' `+
		`-H 'Content-Type: application/json' -d '{%[5]s}'

The page itself, with its headers:

curl -sSi http://%[3]s/v1/configurations/%[4]s:renderPage -H 'Authorization: Bearer %[2]s' `+
		`-H 'Content-Type: application/json' -d '{%[5]s}'

The same over gRPC (without grpcurl on the PATH: go tool -modfile=tools/go.mod grpcurl …):

grpcurl -plaintext -H 'Authorization: Bearer %[2]s' -d '{"configuration":"configurations/%[4]s",%[5]s}' `+
		`%[6]s deskmint.v1.TokenService/MintToken

Ctrl-C ends it.
`, Origin(d.port), config.DevKey, at.HTTP, name, user, at.GRPC)
}
