package service

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// Methods are all gRPC methods of the API, as in /deskmint.v1.TokenService/MintToken.
// Health checks and reflection aren't among them.
func Methods() (all []string) {
	for _, file := range []protoreflect.FileDescriptor{pb.File_deskmint_v1_token_service_proto, pb.File_deskmint_v1_configuration_service_proto} {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				all = append(all, "/"+string(service.FullName())+"/"+string(service.Methods().Get(j).Name()))
			}
		}
	}
	return all
}
