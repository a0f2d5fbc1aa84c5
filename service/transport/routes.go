package transport

import (
	"net/http"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// routes answers the requests of the REST gateway that can't be passed on to a method.
type routes struct {
	all     routeTable
	conn    grpc.ClientConnInterface
	unknown string // the method of conn for such requests
}

// routeTable has the paths of the contract with their HTTP methods. The gateway's router can't
// distinguish a custom method (AIP-136) from a name. In a GET request it accepts `a:mintToken` as
// the name of a configuration.
type routeTable []route

// route is a path that has the name of a resource between two fixed parts, or a fixed path.
type route struct {
	method, before, after string
	named                 bool // the path has a name
	custom                bool // the path has a custom method
}

func newRoute(method, template string) route {
	before, rest, named := strings.Cut(template, "{")
	_, rest, _ = strings.Cut(rest, "=")
	pattern, after, _ := strings.Cut(rest, "}")
	return route{
		method: method,
		before: before + strings.TrimSuffix(pattern, "*"),
		after:  after,
		named:  named,
		custom: strings.Contains(after, ":"),
	}
}

func (r route) matches(p string) bool {
	if !r.named {
		return p == r.before
	}
	name, begins := strings.CutPrefix(p, r.before)
	name, ends := strings.CutSuffix(name, r.after)
	return begins && ends && name != "" && !strings.Contains(name, "/") &&
		strings.Contains(p[len(r.before):], ":") == r.custom
}

func newRoutes() (all routeTable) {
	for _, file := range []protoreflect.FileDescriptor{
		pb.File_deskmint_v1_token_service_proto,
		pb.File_deskmint_v1_configuration_service_proto,
	} {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				rule, _ := proto.GetExtension(methods.Get(j).Options(), annotations.E_Http).(*annotations.HttpRule)
				r := newRoute(http.MethodPost, rule.GetPost())
				if rule.GetGet() != "" {
					r = newRoute(http.MethodGet, rule.GetGet())
				}
				all = append(all, r)
			}
		}
	}
	return all
}

// allowed returns the HTTP method of a path, or "" for a path without a route.
func (all routeTable) allowed(p string) string {
	for _, r := range all {
		if r.matches(p) {
			return r.method
		}
	}
	return ""
}
