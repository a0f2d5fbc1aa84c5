package service

import (
	"net/http"
	"path"
	"regexp"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// routes are the paths of the contract with their HTTP methods. The gateway's own
// routing can't tell a custom method (AIP-136) from a name: to it, `a:mintToken` is
// also what GET would call a configuration.
type routes []route

type route struct{ method, pattern string } // a pattern of package path

func newRoutes() (all routes) {
	parameter := regexp.MustCompile(`\{\w+=([^}]*)\*\}`)
	for _, file := range []protoreflect.FileDescriptor{pb.File_deskmint_v1_token_service_proto, pb.File_deskmint_v1_configuration_service_proto} {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				rule, _ := proto.GetExtension(methods.Get(j).Options(), annotations.E_Http).(*annotations.HttpRule)
				r := route{http.MethodPost, rule.GetPost()}
				if rule.GetGet() != "" {
					r = route{http.MethodGet, rule.GetGet()}
				}
				r.pattern = parameter.ReplaceAllString(r.pattern, "${1}?*") // at least one character
				all = append(all, r)
			}
		}
	}
	return all
}

// allowed is the one method that the contract has for a path; empty: nothing is
// there.
func (all routes) allowed(p string) string {
	custom := strings.Contains(path.Base(p), ":")
	for _, r := range all {
		if ok, err := path.Match(r.pattern, p); ok && err == nil && custom == strings.Contains(r.pattern, ":") {
			return r.method
		}
	}
	return ""
}
