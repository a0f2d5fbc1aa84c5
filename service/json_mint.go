package service

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/members"
)

// Marshal implements [runtime.Marshaler]. The answer that nearly all requests get is
// written out: protojson asks reflection for each field, at five times the cost. A test
// holds the one to the other.
func (j *strictJSON) Marshal(v any) ([]byte, error) {
	if m, ok := v.(*pb.MintTokenResponse); ok && m != nil {
		return mintJSON(m)
	}
	return j.JSONPb.Marshal(v)
}

func mintJSON(r *pb.MintTokenResponse) ([]byte, error) {
	l := members.List{JSON: make([]byte, 0, 512+2*len(r.GetToken()))}
	l.Text("token", r.GetToken())
	l.Text("jti", r.GetJti())
	moment(&l, "issueTime", r.GetIssueTime())
	moment(&l, "expireTime", r.GetExpireTime())
	l.Value("secretVersion", int64(r.GetSecretVersion()))
	if form := r.GetForm(); form != nil {
		l.Nest("form", '{', '}', func() {
			l.Text("action", form.GetAction())
			l.Nest("fields", '{', '}', func() {
				for _, name := range []string{"jwt", "return_to"} { // those that there are
					if value, ok := form.GetFields()[name]; ok {
						l.Text(name, value)
					}
				}
			})
			l.Texts("formActionSources", form.GetFormActionSources())
		})
	}
	l.Text("attempt", r.GetAttempt())
	l.Nest("warnings", '[', ']', func() {
		for _, w := range r.GetWarnings() {
			l.Item('{', '}', func() {
				l.Text("field", w.GetField())
				l.Text("description", w.GetDescription())
			})
		}
	})
	l.JSON[0] = '{'
	return append(l.JSON, '}'), l.Err
}

// moment adds a timestamp of whole seconds, as all of ours are.
func moment(l *members.List, name string, at *timestamppb.Timestamp) {
	if at != nil {
		l.Time(name, at.AsTime().Truncate(time.Second))
	}
}
