package service_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// identityNames are header and metadata names that gateways, proxies, meshes and frameworks take
// for an identity, or for a wish as to how a request is to be read.
var identityNames = strings.Fields(`
	grpc-metadata-authorization Grpc-Metadata-Authorization grpc-metadata-caller grpc-metadata-deskmint-caller grpc-metadata-x-api-key
	grpcgateway-authorization grpcgateway-cookie grpcgateway-user-agent grpc-trailer-authorization grpc-tags-bin authorization-bin
	x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-user x-forwarded-email x-forwarded-groups x-forwarded-access-token
	x-forwarded-client-cert x-forwarded-tls-client-cert x-forwarded-tls-client-cert-info x-real-ip x-client-ip x-cluster-client-ip true-client-ip
	cf-connecting-ip forwarded via x-original-url x-rewrite-url x-original-method x-http-method x-http-method-override x-method-override
	ssl-client-cert ssl-client-verify ssl-client-s-dn ssl-client-subject-dn x-ssl-client-cert x-ssl-client-verify x-ssl-client-dn x-ssl-cert
	x-client-cert client-cert client-cert-chain x-arr-clientcert x-amzn-mtls-clientcert x-amzn-mtls-clientcert-subject x-amzn-oidc-identity
	x-amzn-oidc-data x-goog-authenticated-user-email x-goog-iap-jwt-assertion x-ms-client-principal x-ms-client-principal-name
	cf-access-jwt-assertion x-auth-request-user x-auth-request-email x-auth-user x-auth-token x-access-token x-api-key api-key apikey
	x-user x-username x-user-id x-userinfo x-email x-role x-remote-user remote-user remote_user http_authorization x-authorization
	x-authenticated-userid x-consumer-username x-consumer-id x-credential-identifier x-caller caller x-service x-spiffe-id spiffe-id
	x-envoy-peer-metadata x-envoy-peer-metadata-id x-envoy-original-path x-envoy-external-address x-envoy-internal l5d-client-id l5d-dst-override
	x-jwt-assertion x-jwt-payload x-endpoint-api-userinfo impersonate-user impersonate-group x-impersonate-user x-sudo sudo
	proxy-authorization www-authenticate authentication x-amz-security-token authorisation autorization authorization_ authorization-
	x-authorization-bearer bearer token id-token access_token cookie cookie2 set-cookie
	deskmint-caller deskmint-configuration deskmint-key deskmint-jti deskmint-reason deskmint-outcome x-deskmint-caller deskmint-transport
	te grpc-timeout grpc-encoding grpc-accept-encoding grpc-previous-rpc-attempts content-encoding accept accept-encoding user-agent from
	referer origin host2 x-host x-request-id x-correlation-id traceparent tracestate baggage b3 x-b3-traceid priority early-data
	content-language if-match range date pragma cache-control upgrade-insecure-requests sec-fetch-site access-control-request-method`)

// identityValues are what such a header would say, were it believed.
var identityValues = []string{
	"Bearer dmk_everything", "Bearer dmk_storefront", "dmk_everything", "Basic ZXZlcnl0aGluZzpkbWtfZXZlcnl0aGluZw==", "everything", "storefront",
	"caller=everything", "session=dmk_everything; caller=everything", "spiffe://acme.internal/everything", "CN=everything", "127.0.0.1", "10.0.0.1",
	"for=127.0.0.1;by=everything;proto=https", `By=spiffe://acme.internal/deskmint;Hash=00;Subject="CN=everything";URI=spiffe://acme.internal/everything;DNS=everything`,
	"SUCCESS", "GET", "POST", "DELETE", "1n", "5S", "true", "0", "", "trailers", "gzip", "identity", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJldmVyeXRoaW5nIn0.",
	"/v1/configurations/acme-staff", "/v1/configurations/acme-customers:refreshSecret", "*", "a, b", "%0d%0aAuthorization: Bearer dmk_everything",
}

// identities are the callers of testdata/service.yaml by their keys, with how many configurations
// they may list.
var identities = map[string]struct {
	caller string
	sees   int
}{"dmk_everything": {"everything", 6}, "dmk_storefront": {"storefront", 1}, "dmk_slow": {"slow", 0}, "dmk_nobody": {"nobody", 0}}

// disguise is a request that tries to be somebody: credentials in the header that is for them, and
// lies in others.
type forgedRequest struct {
	fields      [][2]string // in the order in which they are sent
	credentials []string    // the keys of callers in Authorization headers
}

type requestGenerator struct{ *rand.Rand }

func (m requestGenerator) pick(list []string) string { return list[m.IntN(len(list))] }

// disguise makes one, of names and values as gRPC's or as HTTP's.
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
			value = base64.RawStdEncoding.EncodeToString([]byte(value)) // as gRPC has it; else it is left out
		}
		forged.fields = append(forged.fields, [2]string{name, value})
	}
	m.Shuffle(len(forged.fields), func(i, j int) { forged.fields[i], forged.fields[j] = forged.fields[j], forged.fields[i] })
	return forged
}

// name is one of those above or, as often as not in another spelling, of anything.
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
	// What frames a message or ends the connection isn't about who is calling.
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

// expected is the caller that the request may be, if it is anybody; "" where it gives
// no credential, or several.
func (forged forgedRequest) caller() string {
	if len(forged.credentials) != 1 {
		return ""
	}
	return identities[forged.credentials[0]].caller
}

// masquerade is one transport's share of the property: requests that are sent one after
// another, with their answers and records.
type identityTest struct {
	*server
	generator requestGenerator
	handler   http.Handler             // the REST gateway without its socket
	calls     grpc.ClientConnInterface // the gRPC server without its socket
	conn      net.Conn
	h2        *rawH2 // over conn
	served    int
}

// TestNobodyIsAnotherByHeaders: whatever a client puts into headers or metadata, at
// either transport, it is the caller of the one credential that it gave, or refused. Most
// cases go to what is behind the sockets, which has the say.
func TestHeadersDontChangeIdentity(t *testing.T) {
	for _, run := range []struct {
		name  string
		send  func(*identityTest, *testing.T, forgedRequest) (sees int, err error)
		cases int
	}{
		{"http", (*identityTest).callHandler, 52_000},
		{"grpc", (*identityTest).callMethod, 52_000},
		{"http by socket", (*identityTest).sendHTTP, 1500},
		{"grpc by socket", (*identityTest).sendGRPC, 1500},
	} {
		t.Run(run.name, func(t *testing.T) {
			t.Parallel()
			m := &identityTest{generator: requestGenerator{rand.New(rand.NewPCG(42, uint64(run.cases)))}}
			m.server = start(t, settings{configuration: configuration})
			t.Cleanup(m.close)
			var err error
			if m.handler, m.calls, err = m.InProcess(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i := range run.cases {
				forged := m.generator.request(strings.HasPrefix(run.name, "grpc"))
				sees, err := run.send(m, t, forged)
				if err != nil {
					t.Fatalf("case %d, %q: %v", i, forged.fields, err)
				}
				m.check(t, forged, sees)
				if t.Failed() {
					t.Fatalf("case %d, %q", i, forged.fields)
				}
			}
			t.Logf("%d of %d requests were served", m.served, run.cases)
			if m.served < run.cases/2 {
				t.Errorf("%d of %d requests were served: too few to tell anything", m.served, run.cases)
			}
		})
	}
}

// check holds the records since the last check, and the answer, to who it may be.
// sees is how many configurations the answer lists; -1: it is a refusal.
func (m *identityTest) check(t *testing.T, forged forgedRequest, sees int) {
	t.Helper()
	want, who := forged.caller(), ""
	for line := range strings.Lines(m.Audit.take()) {
		var record struct{ Caller, Decision string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if record.Caller != "" && record.Caller != want || record.Decision == "allow" && record.Caller == "" {
			t.Errorf("the record is of %q, the credential of %q: %s", record.Caller, want, line)
		}
		if record.Decision == "allow" {
			who = record.Caller
		}
		if strings.Contains(line, "dmk_") {
			t.Errorf("the record holds a key: %s", line)
		}
	}
	if sees < 0 {
		return
	}
	m.served++
	if want == "" || who != want || sees != identities[forged.credentials[0]].sees {
		t.Errorf("served as %q, who sees %d; the credential is of %q", who, sees, want)
	}
}

// httpRequest is a request's bytes. Some ask for a sign-in, others for a list.
func (m *identityTest) httpRequest(forged forgedRequest) (request string, mints bool) {
	var b strings.Builder
	body := ""
	if mints = m.generator.IntN(4) == 0; mints {
		body = `{"user":{` + ana + `},"validateOnly":true}`
		fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: deskmint\r\n%sContent-Length: %d\r\n", mintPath, asJSON, len(body))
	} else {
		b.WriteString("GET /v1/configurations HTTP/1.1\r\nHost: deskmint\r\n")
	}
	for _, f := range forged.fields {
		b.WriteString(f[0] + ": " + f[1] + "\r\n")
	}
	return b.String() + "\r\n" + body, mints
}

// seen is how many configurations an HTTP answer shows. That of a sign-in shows none,
// and stands for those of the credential.
func (forged forgedRequest) listedOverHTTP(code int, mints bool, answer []byte) (int, error) {
	switch {
	case code != http.StatusOK:
		return -1, nil
	case mints && len(forged.credentials) == 1:
		return identities[forged.credentials[0]].sees, nil
	case mints:
		return 0, nil
	}
	var list struct{ Configurations []struct{} }
	err := json.Unmarshal(answer, &list)
	return len(list.Configurations), err
}

// toHandler gives the request to the REST gateway's handler.
func (m *identityTest) callHandler(_ *testing.T, forged forgedRequest) (sees int, err error) {
	text, mints := m.httpRequest(forged)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		return 0, err
	}
	w := httptest.NewRecorder()
	m.handler.ServeHTTP(w, r)
	return forged.listedOverHTTP(w.Code, mints, w.Body.Bytes())
}

// viaHTTP sends the request as it is, on a connection that is kept while it can be.
func (m *identityTest) sendHTTP(_ *testing.T, forged forgedRequest) (sees int, err error) {
	request, mints := m.httpRequest(forged)
	if m.conn == nil {
		if m.conn, err = net.Dial("tcp", m.listeners[1].Addr().String()); err != nil {
			return 0, err
		}
	}
	if _, err := io.WriteString(m.conn, request); err != nil {
		return 0, err
	}
	h, answer, err := readAnswer(bufio.NewReader(m.conn), http.MethodPost)
	if err != nil {
		return 0, err
	}
	if h.Close {
		m.close()
	}
	return forged.listedOverHTTP(h.StatusCode, mints, answer)
}

// grpcCall is a call's method and message.
func (m *identityTest) grpcCall() (method string, request, response proto.Message) {
	if m.generator.IntN(4) > 0 {
		return pb.ConfigurationService_ListConfigurations_FullMethodName, &pb.ListConfigurationsRequest{}, &pb.ListConfigurationsResponse{}
	}
	return pb.TokenService_MintToken_FullMethodName, &pb.MintTokenRequest{
		Configuration: "configurations/acme-customers", ValidateOnly: true,
		User: &pb.User{Email: "ana@customer.example", EmailVerified: true, Name: "Ana"},
	}, &pb.MintTokenResponse{}
}

func (forged forgedRequest) listedOverGRPC(response proto.Message) int {
	list, ok := response.(*pb.ListConfigurationsResponse)
	if !ok && len(forged.credentials) == 1 {
		return identities[forged.credentials[0]].sees
	}
	return len(list.GetConfigurations())
}

// toMethod makes the call with the metadata behind the gRPC server's socket.
func (m *identityTest) callMethod(t *testing.T, forged forgedRequest) (sees int, err error) {
	t.Helper()
	method, request, response := m.grpcCall()
	md := make(metadata.MD)
	for _, f := range forged.fields {
		md[f[0]] = append(md[f[0]], f[1])
	}
	if err := m.calls.Invoke(metadata.NewOutgoingContext(t.Context(), md), method, request, response); err != nil {
		return -1, nil
	}
	return forged.listedOverGRPC(response), nil
}

// viaGRPC sends the call as frames. What the transport's HTTP/2 refuses ends the stream or
// the connection.
func (m *identityTest) sendGRPC(t *testing.T, forged forgedRequest) (sees int, err error) {
	t.Helper()
	if m.conn == nil {
		if m.conn, err = net.Dial("tcp", m.listeners[0].Addr().String()); err != nil {
			return 0, err
		}
		if m.h2, err = newRawH2(m.conn); err != nil {
			return 0, err
		}
	}
	method, request, response := m.grpcCall()
	if err := m.h2.open(slices.Concat(grpcFields(method), forged.fields), false); err != nil {
		return 0, err
	}
	if err := m.h2.framer.WriteData(m.h2.stream, true, frameMessage(t, request)); err != nil {
		return 0, err
	}
	fields, data, err := m.h2.answer()
	if err != nil && !errors.Is(err, errReset) {
		m.close()
	}
	if err != nil || fields["grpc-status"] != "0" {
		return -1, nil //nolint:nilerr // a refusal
	}
	if err := proto.Unmarshal(data[5:], response); err != nil {
		return 0, err
	}
	return forged.listedOverGRPC(response), nil
}

func (m *identityTest) close() {
	if m.conn != nil {
		_ = m.conn.Close()
	}
	m.conn = nil
}
