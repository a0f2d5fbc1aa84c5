package service_test

import (
	"fmt"
	"strings"

	"github.com/deskmint/deskmint/secrets/memory"
	"github.com/deskmint/deskmint/service/caller"
)

// manyName returns the name of a configuration of manyConfigurations, which is also the path of its
// secret.
func manyName(i int) string { return fmt.Sprintf("many-%05d", i) }

// fillMany returns a function that stores the secrets of n configurations of manyConfigurations.
func fillMany(n int) func(*memory.Store) {
	return func(store *memory.Store) {
		for i := range n {
			store.Put(manyName(i), "shared_secret", []byte(customersSecret))
		}
	}
}

// manyConfigurations returns a configuration file with n configurations. The caller everything may
// take every action at all of them. The caller storefront may read and report for the last one.
func manyConfigurations(n int) string {
	var b strings.Builder
	b.WriteString("secrets: {source: memory}\nconfigurations:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: %s, secret: {path: %[1]s, field: shared_secret}, zendesk_sso: "+
			"{audiences: [end_user], brands: [{id: \"%d\", subdomain: %[1]s, hosts: [help%[2]d.acme.com]}]}}\n",
			manyName(i), i+1)
	}
	fmt.Fprintf(&b, `callers:
  - name: everything
    identities: [{api_key_sha256: %s}]
    grants:
      - configurations: ["*"]
        brands: ["*"]
        actions: [sign_in, read, report, refresh, inspect]
        roles: [unset]
        email_domains: {allow: ["*"]}
        rate: {per_second: 1000000, burst: 1000000}
  - name: storefront
    identities: [{api_key_sha256: %s}]
    grants: [{configurations: [%s], brands: ["*"], actions: [read, report],
      rate: {per_second: 1000000, burst: 1000000}}]
`, caller.HashKey("dmk_everything"), caller.HashKey("dmk_storefront"), manyName(n-1))
	return b.String()
}
