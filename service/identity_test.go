package service_test

import (
	"bufio"
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

// caller returns the caller that the request identifies, or "" if it has no credential or several.
func (f forgedRequest) caller() string {
	if len(f.credentials) != 1 {
		return ""
	}
	return identities[f.credentials[0]].caller
}

// identityTest sends forged requests to one transport, one after another, and checks their answers
// and records.
type identityTest struct {
	*server
	generator requestGenerator
	handler   http.Handler             // the REST gateway without its socket
	calls     grpc.ClientConnInterface // the gRPC server without its socket
	conn      net.Conn
	h2        *rawH2 // over conn
	served    int
}

// TestHeadersDontChangeIdentity checks that no header and no metadata of a request changes its
// caller, at either transport. TestManyHeadersDontChangeIdentity has ten times as many cases.
func TestHeadersDontChangeIdentity(t *testing.T) { checkForgedHeaders(t, 5200, 1500) }

// checkForgedHeaders sends random requests with forged headers or metadata. The caller is that of
// the one credential that the request has, or the request is refused. Most cases call the
// transports without sockets, because that code identifies the caller.
func checkForgedHeaders(t *testing.T, calls, bySocket int) {
	t.Helper()
	for _, run := range []struct {
		name  string
		send  func(*identityTest, *testing.T, forgedRequest) (lists int, err error)
		cases int
	}{
		{"http", (*identityTest).callHandler, calls},
		{"grpc", (*identityTest).callMethod, calls},
		{"http by socket", (*identityTest).sendHTTP, bySocket},
		{"grpc by socket", (*identityTest).sendGRPC, bySocket},
	} {
		t.Run(run.name, func(t *testing.T) {
			t.Parallel()
			m := &identityTest{generator: requestGenerator{rand.New(rand.NewPCG(42, uint64(run.cases)))}}
			m.server = start(t, settings{configuration: configuration})
			t.Cleanup(m.close)
			var err error
			if m.handler, m.calls, err = m.InProcess(); err != nil {
				t.Fatal(err)
			}
			for i := range run.cases {
				forged := m.generator.request(strings.HasPrefix(run.name, "grpc"))
				lists, err := run.send(m, t, forged)
				if err != nil {
					t.Fatalf("case %d, %q: %v", i, forged.fields, err)
				}
				m.check(t, forged, lists)
				if t.Failed() {
					t.Fatalf("case %d, %q", i, forged.fields)
				}
			}
			t.Logf("%d of %d requests were served", m.served, run.cases)
			if m.served < run.cases/2 {
				t.Errorf("%d of %d requests were served, want at least half of them", m.served, run.cases)
			}
		})
	}
}

// check checks that the answer and the records since the last check are of the caller of the
// request. The argument lists is the number of configurations in the answer, or -1 for a refusal.
func (m *identityTest) check(t *testing.T, forged forgedRequest, lists int) {
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
			t.Errorf("the record has a key: %s", line)
		}
	}
	if lists < 0 {
		return
	}
	m.served++
	if want == "" || who != want || lists != identities[forged.credentials[0]].lists {
		t.Errorf("the request was served as %q with %d configurations; the credential is of %q", who, lists, want)
	}
}

// httpRequest returns the bytes of a request. A quarter of the requests are sign-ins, and the
// others list configurations.
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

// listedOverHTTP returns the number of configurations in an HTTP answer, or -1 for a refusal. The
// answer to a sign-in has none, so the number is then that of the credential's caller.
func (f forgedRequest) listedOverHTTP(code int, mints bool, answer []byte) (int, error) {
	switch {
	case code != http.StatusOK:
		return -1, nil
	case mints && len(f.credentials) == 1:
		return identities[f.credentials[0]].lists, nil
	case mints:
		return 0, nil
	}
	var list struct{ Configurations []struct{} }
	err := json.Unmarshal(answer, &list)
	return len(list.Configurations), err
}

// callHandler calls the handler of the REST gateway.
func (m *identityTest) callHandler(_ *testing.T, forged forgedRequest) (lists int, err error) {
	text, mints := m.httpRequest(forged)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		return 0, err
	}
	w := httptest.NewRecorder()
	m.handler.ServeHTTP(w, r)
	return forged.listedOverHTTP(w.Code, mints, w.Body.Bytes())
}

// sendHTTP sends the request to the REST gateway. It reuses the connection if the server keeps it
// open.
func (m *identityTest) sendHTTP(_ *testing.T, forged forgedRequest) (lists int, err error) {
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

// grpcCall returns the method and the messages of a call. A quarter of the calls are sign-ins.
func (m *identityTest) grpcCall() (method string, request, response proto.Message) {
	if m.generator.IntN(4) > 0 {
		method = pb.ConfigurationService_ListConfigurations_FullMethodName
		return method, &pb.ListConfigurationsRequest{}, &pb.ListConfigurationsResponse{}
	}
	return pb.TokenService_MintToken_FullMethodName, &pb.MintTokenRequest{
		Configuration: "configurations/acme-customers", ValidateOnly: true,
		User: &pb.User{Email: "ana@customer.example", EmailVerified: true, Name: "Ana"},
	}, &pb.MintTokenResponse{}
}

// listedOverGRPC does the same for the answer to a successful gRPC call.
func (f forgedRequest) listedOverGRPC(response proto.Message) int {
	list, ok := response.(*pb.ListConfigurationsResponse)
	if !ok && len(f.credentials) == 1 {
		return identities[f.credentials[0]].lists
	}
	return len(list.GetConfigurations())
}

// callMethod calls the method with the metadata, without a socket.
func (m *identityTest) callMethod(t *testing.T, forged forgedRequest) (lists int, err error) {
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

// sendGRPC sends the call as HTTP/2 frames. If the header isn't valid, the server resets the stream
// or ends the connection.
func (m *identityTest) sendGRPC(t *testing.T, forged forgedRequest) (lists int, err error) {
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
