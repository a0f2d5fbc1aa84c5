package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// apiPath is the path of the API for tests. Its last part is the version: members may be added to
// answers, but none is removed or gets another meaning.
const apiPath = "/sandbox/v1"

const (
	maxAPIBody     = 64 << 10 // bytes of a request
	defaultLimit   = 50       // sign-ins in an answer
	maxClockOffset = 366 * 24 * time.Hour
)

// apiError is an error of the API, as it is sent.
type apiError struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error implements error.
func (e *apiError) Error() string { return e.Message }

func badRequest(format string, args ...any) error {
	return &apiError{http.StatusBadRequest, "bad_request", fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &apiError{http.StatusNotFound, "not_found", fmt.Sprintf(format, args...)}
}

// apiMethods are the handlers of a resource by method. A handler returns the body of the answer.
// Without a body the status is 204.
type apiMethods map[string]func(*http.Request) (any, error)

// newAPI returns the handler of the API for tests. docs/sandbox.md describes the API.
func (s *Sandbox) newAPI() http.Handler {
	mux := http.NewServeMux()
	for path, methods := range map[string]apiMethods{
		"/account":       {http.MethodGet: s.apiAccount},
		"/sign-ins":      {http.MethodGet: s.apiSignIns, http.MethodDelete: s.apiForgetSignIns},
		"/sign-ins/{id}": {http.MethodGet: s.apiSignIn},
		"/users":         {http.MethodGet: s.apiUsers, http.MethodDelete: s.apiDeleteUsers},
		"/users/{id}":    {http.MethodGet: s.apiUser},
		"/faults": {
			http.MethodGet: s.apiFaults, http.MethodPost: s.apiSetFaults, http.MethodDelete: s.apiEndFaults,
		},
		"/reset": {http.MethodPost: s.apiReset},
	} {
		mux.Handle(apiPath+path, methods)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeAPI(w, nil, notFound("there is no such path: %[1]s/account, %[1]s/sign-ins, %[1]s/users, "+
			"%[1]s/faults and %[1]s/reset exist", apiPath))
	})
	return mux
}

// ServeHTTP calls the handler of the request's method. It refuses requests that change something
// and come from a page of another origin.
func (m apiMethods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	handle, ok := m[method]
	if !ok {
		allowed := strings.Join(slices.Sorted(maps.Keys(m)), ", ")
		w.Header().Set("Allow", allowed)
		writeAPI(w, nil, &apiError{
			http.StatusMethodNotAllowed, "method_not_allowed", "this path takes " + allowed,
		})
		return
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		writeAPI(w, nil, &apiError{
			http.StatusForbidden, "cross_origin", "a page of another origin can't change the sandbox",
		})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxAPIBody)
	body, err := handle(r)
	writeAPI(w, body, err)
}

func writeAPI(w http.ResponseWriter, body any, err error) {
	status := http.StatusOK
	if err != nil {
		failure := (*apiError)(nil)
		if !errors.As(err, &failure) {
			failure = &apiError{http.StatusInternalServerError, "internal", "the sandbox has failed"}
		}
		status, body = failure.status, map[string]any{"error": failure}
	}
	if body == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(body) // an error means that the client has closed the connection
}

// apiSignIns returns the latest sign-ins, the newest first.
func (s *Sandbox) apiSignIns(r *http.Request) (any, error) {
	limit, after := defaultLimit, 0
	var jti, brand string
	query := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		var err error
		switch value := query.Get(name); name {
		case "limit":
			if limit, err = strconv.Atoi(value); err != nil || limit < 1 || limit > maxRecord {
				return nil, badRequest("limit must be a number from 1 to %d", maxRecord)
			}
		case "after":
			if after, err = strconv.Atoi(value); err != nil {
				return nil, badRequest("after must be the id of a sign-in")
			}
		case "jti":
			jti = value
		case "brand":
			brand = value
		default:
			return nil, unknownParameter(name, "after, brand, jti and limit are known")
		}
	}
	all := []signInJSON{}
	for _, signIn := range slices.Backward(s.SignIns()) {
		if len(all) == limit || signIn.ID <= after {
			break
		}
		if jti != "" && signIn.JTI != jti {
			continue
		}
		if found := s.signInJSON(signIn); brand == "" || found.Brand == brand {
			all = append(all, found)
		}
	}
	return map[string]any{"sign_ins": all}, nil
}

func unknownParameter(name, known string) error {
	return badRequest("the parameter %q is unknown: %s", name, known)
}

func (s *Sandbox) apiSignIn(r *http.Request) (any, error) {
	if r.PathValue("id") == "last" {
		all := s.SignIns()
		if len(all) == 0 {
			return nil, notFound("nobody has tried to sign in yet")
		}
		return s.signInJSON(all[len(all)-1]), nil
	}
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return nil, notFound("a sign-in has a number, or is named last")
	}
	found, ok := s.signIns.find(id)
	if !ok {
		return nil, notFound("there is no sign-in %d, or it is no longer kept", id)
	}
	return s.signInJSON(found), nil
}

func (s *Sandbox) apiForgetSignIns(*http.Request) (any, error) {
	s.signIns.forget()
	return nil, nil
}

func (s *Sandbox) apiUsers(r *http.Request) (any, error) {
	query := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if name != "email" {
			return nil, unknownParameter(name, "email is known")
		}
	}
	email := query.Get("email")
	all := []userJSON{}
	for _, user := range s.Users() {
		if email == "" || strings.EqualFold(user.Email, email) {
			all = append(all, newUserJSON(user))
		}
	}
	return map[string]any{"users": all}, nil
}

func (s *Sandbox) apiUser(r *http.Request) (any, error) {
	for _, user := range s.Users() {
		if strconv.Itoa(user.ID) == r.PathValue("id") {
			return newUserJSON(user), nil
		}
	}
	return nil, notFound("there is no user with this id")
}

func (s *Sandbox) apiDeleteUsers(*http.Request) (any, error) {
	s.sessions.clear()
	s.users.clear()
	return nil, nil
}

func (s *Sandbox) apiFaults(*http.Request) (any, error) { return newFaultsJSON(s.Faults()), nil }

func (s *Sandbox) apiEndFaults(*http.Request) (any, error) {
	s.SetFaults(Faults{})
	return nil, nil
}

// apiSetFaults replaces all faults with those of the request.
func (s *Sandbox) apiSetFaults(r *http.Request) (any, error) {
	var wanted faultsJSON
	if err := readJSON(r, &wanted, "clock_offset_seconds, rate_limited, blocked and unassigned"); err != nil {
		return nil, err
	}
	offset := time.Duration(wanted.ClockOffset) * time.Second
	if offset.Abs() > maxClockOffset || wanted.ClockOffset != int64(offset/time.Second) {
		return nil, badRequest("clock_offset_seconds must be less than a year either way")
	}
	for _, name := range wanted.Unassigned {
		if _, ok := s.findConfiguration(name); !ok {
			return nil, badRequest("unassigned names the configuration %q, which doesn't exist: "+
				"GET %s/account lists those that do", name, apiPath)
		}
	}
	s.SetFaults(Faults{
		ClockOffset: offset, RateLimited: wanted.RateLimited, Blocked: wanted.Blocked, Unassigned: wanted.Unassigned,
	})
	return newFaultsJSON(s.Faults()), nil
}

// readJSON decodes a JSON body, in which every member must be known.
func readJSON(r *http.Request, into any, known string) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &apiError{
			http.StatusUnsupportedMediaType, "content_type", "the content type must be application/json",
		}
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			return badRequest("the body must be one JSON object and nothing more")
		}
		return nil
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return &apiError{http.StatusRequestEntityTooLarge, "too_large", "the body is too large"}
	}
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return wrongType(wrong)
	}
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return badRequest("the member %s is unknown: %s are known", name, known)
	}
	return badRequest("the body is not JSON")
}

// wrongType says which member has a value of a wrong type, and what it must be.
func wrongType(wrong *json.UnmarshalTypeError) error {
	expected := map[reflect.Kind]string{
		reflect.Bool: "true or false", reflect.Int64: "a whole number", reflect.Slice: "a list of strings",
		reflect.String: "a string",
	}[wrong.Type.Kind()]
	if wrong.Field == "" {
		return badRequest("the body must be a JSON object; found a JSON %s", wrong.Value)
	}
	return badRequest("%s must be %s; found a JSON %s", wrong.Field, expected, wrong.Value)
}

func (s *Sandbox) apiReset(*http.Request) (any, error) {
	s.Reset()
	return nil, nil
}

// Reset deletes users, sessions and recorded sign-ins, forgets which tokens were used, and ends all
// faults. Secrets and configurations stay, and the next sign-in still gets a new ID.
func (s *Sandbox) Reset() {
	s.SetFaults(Faults{})
	s.sessions.clear()
	s.users.clear()
	s.signIns.forget()
	s.used.clear()
}

// apiAccount describes the account, without its secrets.
func (s *Sandbox) apiAccount(r *http.Request) (any, error) {
	account := accountJSON{Brands: []brandJSON{}, Configurations: []configurationJSON{}}
	known := map[string]int{} // index of a configuration by its name
	for _, brand := range s.options.Brands {
		account.Brands = append(account.Brands, brandJSON{
			ID: brand.ID, Name: brand.Name, Subdomain: brand.Subdomain,
			Endpoint: origin(r) + brandsPath + brand.Subdomain + "/access/jwt",
		})
		for _, c := range s.configurationsOf(brand.ID) {
			i, ok := known[c.Name]
			if !ok {
				i = len(account.Configurations)
				known[c.Name] = i
				account.Configurations = append(account.Configurations, configurationJSON{
					Name: c.Name, Audiences: c.Audiences, RemoteLogin: c.RemoteLogin, RemoteLogout: c.RemoteLogout,
				})
			}
			account.Configurations[i].Brands = append(account.Configurations[i].Brands, brand.Subdomain)
		}
	}
	return account, nil
}
