package demo

import "net/http"

type operatorView struct {
	Ready      readiness
	Audit, Log []string
	Ops        string
}

// How many lines the operator's page shows.
const (
	auditLines = 10
	logLines   = 20
)

func (d *pages) showOperator(w http.ResponseWriter, r *http.Request) {
	d.render(w, "operator", "What the operator sees", "/operator", operatorView{
		Ready: d.client.readyz(r.Context()), Ops: d.client.ops,
		Audit: d.audit.latest(auditLines), Log: d.log.latest(logLines),
	})
}
