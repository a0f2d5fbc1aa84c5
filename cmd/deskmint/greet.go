package main

import (
	"fmt"

	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/zendesk"
)

// greet tells what to do next, in lines to paste.
func greet(std streams, s *config.Snapshot, l service.Listeners, port string) {
	name := s.Names()[0]
	conf, _ := s.Configuration(name)
	role := ""
	if !conf.Profile.Serves(zendesk.EndUser) {
		role = `,"role":"ROLE_AGENT"`
	}
	user := `"user":{"email":"ana@customer.example","emailVerified":true,"name":"Ana Customer"` + role + `}`
	fmt.Fprintf(std.out, `
Sign somebody in, in your browser:

    http://localhost:%[1]s/

The caller's key is %[2]s. A token over REST:

curl -sS http://%[3]s/v1/configurations/%[4]s:mintToken -H 'Authorization: Bearer %[2]s' -H 'Content-Type: application/json' -d '{%[5]s}'

The page itself, with its headers:

curl -sSi http://%[3]s/v1/configurations/%[4]s:renderPage -H 'Authorization: Bearer %[2]s' -H 'Content-Type: application/json' -d '{%[5]s}'

The same over gRPC (without grpcurl on the PATH: go tool -modfile=tools/go.mod grpcurl …):

grpcurl -plaintext -H 'Authorization: Bearer %[2]s' -d '{"configuration":"configurations/%[4]s",%[5]s}' %[6]s deskmint.v1.TokenService/MintToken

Ctrl-C ends it.
`, port, config.DevKey, l.HTTP.Addr(), name, user, l.GRPC.Addr())
}
