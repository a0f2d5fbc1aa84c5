package service_test

import (
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"strings"
)

// identityNames are the names of headers and metadata from which gateways, proxies, meshes and
// frameworks read an identity, or an option that changes how a request is read.
var identityNames = strings.Fields(`
	grpc-metadata-authorization Grpc-Metadata-Authorization grpc-metadata-caller grpc-metadata-deskmint-caller
	grpc-metadata-x-api-key grpcgateway-authorization grpcgateway-cookie grpcgateway-user-agent
	grpc-trailer-authorization grpc-tags-bin authorization-bin x-forwarded-for x-forwarded-host x-forwarded-proto
	x-forwarded-user x-forwarded-email x-forwarded-groups x-forwarded-access-token x-forwarded-client-cert
	x-forwarded-tls-client-cert x-forwarded-tls-client-cert-info x-real-ip x-client-ip x-cluster-client-ip
	true-client-ip cf-connecting-ip forwarded via x-original-url x-rewrite-url x-original-method x-http-method
	x-http-method-override x-method-override ssl-client-cert ssl-client-verify ssl-client-s-dn ssl-client-subject-dn
	x-ssl-client-cert x-ssl-client-verify x-ssl-client-dn x-ssl-cert x-client-cert client-cert client-cert-chain
	x-arr-clientcert x-amzn-mtls-clientcert x-amzn-mtls-clientcert-subject x-amzn-oidc-identity x-amzn-oidc-data
	x-goog-authenticated-user-email x-goog-iap-jwt-assertion x-ms-client-principal x-ms-client-principal-name
	cf-access-jwt-assertion x-auth-request-user x-auth-request-email x-auth-user x-auth-token x-access-token
	x-api-key api-key apikey x-user x-username x-user-id x-userinfo x-email x-role x-remote-user remote-user
	remote_user http_authorization x-authorization x-authenticated-userid x-consumer-username x-consumer-id
	x-credential-identifier x-caller caller x-service x-spiffe-id spiffe-id x-envoy-peer-metadata
	x-envoy-peer-metadata-id x-envoy-original-path x-envoy-external-address x-envoy-internal l5d-client-id
	l5d-dst-override x-jwt-assertion x-jwt-payload x-endpoint-api-userinfo impersonate-user impersonate-group
	x-impersonate-user x-sudo sudo proxy-authorization www-authenticate authentication x-amz-security-token
	authorisation autorization authorization_ authorization- x-authorization-bearer bearer token id-token
	access_token cookie cookie2 set-cookie deskmint-caller deskmint-configuration deskmint-key deskmint-jti
	deskmint-reason deskmint-outcome x-deskmint-caller deskmint-transport te grpc-timeout grpc-encoding
	grpc-accept-encoding grpc-previous-rpc-attempts content-encoding accept accept-encoding user-agent from referer
	origin host2 x-host x-request-id x-correlation-id traceparent tracestate baggage b3 x-b3-traceid priority
	early-data content-language if-match range date pragma cache-control upgrade-insecure-requests sec-fetch-site
	access-control-request-method`)

// identityValues are values of such headers that name another caller.
var identityValues = []string{
	"Bearer dmk_everything", "Bearer dmk_storefront", "dmk_everything",
	"Basic ZXZlcnl0aGluZzpkbWtfZXZlcnl0aGluZw==", "everything", "storefront",
	"caller=everything", "session=dmk_everything; caller=everything",
	"spiffe://acme.internal/everything", "CN=everything", "127.0.0.1", "10.0.0.1",
	"for=127.0.0.1;by=everything;proto=https",
	`By=spiffe://acme.internal/deskmint;Hash=00;Subject="CN=everything";` +
		`URI=spiffe://acme.internal/everything;DNS=everything`,
	"SUCCESS", "GET", "POST", "DELETE", "1n", "5S", "true", "0", "", "trailers", "gzip", "identity",
	"eyJhbGciOiJub25lIn0.eyJzdWIiOiJldmVyeXRoaW5nIn0.",
	"/v1/configurations/acme-staff", "/v1/configurations/acme-customers:refreshSecret", "*", "a, b",
	"%0d%0aAuthorization: Bearer dmk_everything",
}

// identities are the callers of testdata/service.yaml by their keys, with the number of
// configurations that each may list.
var identities = map[string]struct {
	caller string
	lists  int
}{
	"dmk_everything": {"everything", 6},
	"dmk_storefront": {"storefront", 1},
	"dmk_slow":       {"slow", 0},
	"dmk_nobody":     {"nobody", 0},
}

// forgedRequest is a request with credentials in the header Authorization and with false identities
// in other headers.
type forgedRequest struct {
	fields      [][2]string // in the order in which they are sent
	credentials []string    // the keys of callers in Authorization headers
}

// requestGenerator generates forged requests at random.
type requestGenerator struct{ *rand.Rand }

func (m requestGenerator) pick(list []string) string { return list[m.IntN(len(list))] }

// request returns a request whose header is valid over HTTP/1.1 or, if h2 is set, over HTTP/2.
func (m requestGenerator) request(h2 bool) forgedRequest {
	var forged forgedRequest
	name := func() string { return "authorization" }
	if !h2 {
		name = func() string {
			return m.pick([]string{"Authorization", "authorization", "AUTHORIZATION", "aUTHORIZATION", "AuthoriZation"})
		}
	}
	keys := []string{"dmk_everything", "dmk_storefront", "dmk_slow", "dmk_nobody"}
	credentials := 1
	if roll := m.IntN(10); roll == 0 {
		credentials = 0
	} else if roll == 1 {
		credentials = 2 + m.IntN(2)
	}
	for range credentials {
		key := m.pick(keys)
		forged.credentials = append(forged.credentials, key)
		value := "Bearer " + key
		if m.IntN(8) == 0 {
			value = m.pick([]string{
				"bearer " + key,
				"BEARER " + key,
				"Bearer  " + key,
				" Bearer " + key + " ",
				"Bearer\t" + key,
				key,
				"Bearer " + key + ",Bearer dmk_nobody",
				"Bearer " + key + "x",
				"Bearer " + key + " dmk_nobody",
				"Basic " + key,
				"Bearer " + strings.ToUpper(key),
				"Bearer:" + key,
				"Bearer " + key + ";x=1",
				"Token " + key,
			})
		}
		forged.fields = append(forged.fields, [2]string{name(), value})
	}
	for range 1 + m.IntN(6) {
		name, value := m.name(h2), m.value()
		if h2 && strings.HasSuffix(name, "-bin") {
			value = base64.RawStdEncoding.EncodeToString([]byte(value)) // gRPC ignores other values
		}
		forged.fields = append(forged.fields, [2]string{name, value})
	}
	m.Shuffle(len(forged.fields), func(i, j int) {
		forged.fields[i], forged.fields[j] = forged.fields[j], forged.fields[i]
	})
	return forged
}

// name returns one of identityNames, a variant of one, or any other name.
func (m requestGenerator) name(h2 bool) string {
	name := m.pick(identityNames)
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~"
	switch m.IntN(5) {
	case 0:
		b := []byte(name)
		b[m.IntN(len(b))] = letters[m.IntN(len(letters))]
		name = string(b)
	case 1:
		b := make([]byte, 1+m.IntN(24))
		for i := range b {
			b[i] = letters[m.IntN(len(letters))]
		}
		name = string(b)
	case 2:
		name = m.pick([]string{"grpc-metadata-", "grpcgateway-", "x-", "deskmint-", "x-forwarded-"}) + name
	}
	if h2 {
		return strings.ToLower(name)
	}
	if m.IntN(3) == 0 {
		name = strings.ToUpper(name)
	}
	// These headers change the framing of a message or end the connection.
	if slices.Contains(
		[]string{
			"content-length",
			"transfer-encoding",
			"connection",
			"upgrade",
			"expect",
			"host",
			"trailer",
			"authorization",
		},
		strings.ToLower(name),
	) {
		return "x-" + name
	}
	return name
}

func (m requestGenerator) value() string {
	if m.IntN(4) > 0 {
		return m.pick(identityValues)
	}
	b := make([]byte, m.IntN(40))
	for i := range b {
		b[i] = byte(0x20 + m.IntN(0x5f))
	}
	return strings.TrimSpace(string(b))
}
