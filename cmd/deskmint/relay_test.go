package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/page/browsertest"
	"github.com/deskmint/deskmint/service/sandbox"
)

// relay is a company's app. It requests the page of a signed-in person from Deskmint, and passes it
// on.
type relay struct {
	deskmint *deskmint
	key      string
	grpc     pb.TokenServiceClient
}

func (a *relay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/by-rest":
		a.byREST(w, r)
	case "/by-grpc":
		a.byGRPC(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (a *relay) byREST(w http.ResponseWriter, r *http.Request) {
	body := fmt.Sprintf(`{"returnTo":%q,%s`, r.FormValue("return_to"), anaJSON[1:])
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost,
		"http://"+a.deskmint.http+"/v1/configurations/acme-customers:renderPage", strings.NewReader(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+a.key)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

func (a *relay) byGRPC(w http.ResponseWriter, r *http.Request) {
	request := anaRequest("acme-customers")
	page, err := a.grpc.RenderForm(withKey(r.Context(), a.key), &pb.RenderFormRequest{
		Configuration: request.Configuration, User: request.User, ReturnTo: r.FormValue("return_to"),
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	for name, value := range page.GetHeaders() {
		w.Header().Set(name, value)
	}
	_, _ = io.WriteString(w, page.GetHtml())
}

// startSandbox starts a sandbox that has the secret of acme-customers.
func startSandbox(t *testing.T) (z *sandbox.Sandbox, port string) {
	t.Helper()
	z, err := sandbox.New(sandbox.Options{
		Brands: []sandbox.Brand{{ID: "360001", Name: "Acme", Subdomain: "acme"}},
		Configurations: []sandbox.Configuration{{
			Name: "acme-customers", Audiences: []string{"end_user"}, Brands: []string{"360001"},
			Secret: func() []byte { return []byte(customersSecret) },
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(z)
	t.Cleanup(server.Close)
	return z, portOf(t, server.Listener.Addr().String())
}

// TestRelayedPage checks that a browser opens the page that an app passes on, and is signed in
// after one POST.
func TestRelayedPage(t *testing.T) {
	t.Parallel()
	browser := browsertest.New(t)
	zendesk, port := startSandbox(t)
	origin := "http://acme.localhost:" + port
	key, hash := caller.NewKey()
	text := strings.Replace(onFile(hash), "audiences: [end_user]", `audiences: [end_user]
      endpoint: "http://{subdomain}.localhost:`+port+`"`, 1)
	dir := folder(t, map[string]string{"deskmint.yaml": text, "secrets.yaml": secretsYAML(customersSecret)})
	d := serve(t, filepath.Join(dir, "deskmint.yaml"))
	app := httptest.NewServer(&relay{d, key, pb.NewTokenServiceClient(d.dial(t))})
	t.Cleanup(app.Close)

	posts := 0
	for _, c := range []struct {
		name, transport, returnTo, at string
		withoutScripts                bool
	}{
		{"REST", "/by-rest", "", "/", false},
		{
			"REST, to a path of the help centre", "/by-rest", "/hc/en-us/requests/7?a=1&b=%22#c",
			"/hc/en-us/requests/7?a=1&b=%22#c", false,
		},
		{"REST, to a URL of the help centre", "/by-rest", origin + "/hc/en-us/x", "/hc/en-us/x", false},
		{"REST, without scripts", "/by-rest", "/hc/y", "/hc/y", true},
		{"gRPC", "/by-grpc", "/hc/z", "/hc/z", false},
		{"gRPC, without scripts", "/by-grpc", "", "/", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab := tab(t, browser)
			if c.withoutScripts {
				disableScripts(t, tab)
			}
			goTo(t, tab, app.URL+c.transport+"?"+url.Values{"return_to": {c.returnTo}}.Encode())
			if c.withoutScripts {
				do(t, tab, chromedp.WaitVisible(chromedp.CSS("noscript p")))
				if n := len(zendesk.SignIns()); n != posts {
					t.Errorf("%d POSTs before the click", n-posts)
				}
				do(t, tab, chromedp.Click(chromedp.CSS("#sign-in button")))
			}
			do(t, tab, signedIn)
			if at := evaluate(t, tab, "location.href"); at != origin+c.at {
				t.Errorf("ended at %s", at)
			}
			if who := evaluate(t, tab, `document.querySelector("#signed-in").innerText`); who != "Signed in as Ana" {
				t.Error(who)
			}
			received := zendesk.SignIns()
			if posts++; len(received) != posts {
				t.Fatalf("%d POSTs instead of one", len(received)-posts+1)
			}
			if last := received[len(received)-1]; last.Outcome != sandbox.OutcomeSignedIn ||
				last.ReturnTo != c.returnTo || len(last.Undocumented) > 0 {
				t.Errorf("received %+v", last)
			}
		})
	}
	d.checkNoSecrets(t, customersSecret, key)
}

func disableScripts(t *testing.T, tab context.Context) {
	t.Helper()
	do(t, tab, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled,
			emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
}
