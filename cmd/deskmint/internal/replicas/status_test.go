package replicas

import (
	"strings"
	"testing"
)

// TestStatus checks what is wrong with a replica, by its answer and by what the store says.
func TestStatus(t *testing.T) {
	t.Parallel()
	two := Stored{Active: 2, Staged: 3, Serial: 7}
	const follows = `{"state":"usable","active_version":2,"staged_version":3,"serial":7,` +
		`"last_success":"2026-11-30T07:00:00Z"}`
	for name, test := range map[string]struct {
		stored         Stored
		response, want string // want is a part of the fault
	}{
		"follows":          {two, ready(follows), ""},
		"without a serial": {two, ready(`{"state":"usable","active_version":2,"staged_version":3}`), ""},
		"disabled":         {Stored{Active: 1, Disabled: true}, ready(`{"state":"disabled","active_version":1}`), ""},
		"unclear":          {Stored{Unclear: true}, ready(onTwo), ""},
		"another version":  {Stored{Active: 1}, ready(onTwo), "the store has version 1 active"},
		"nothing staged":   {two, ready(onTwo), "the store has version 3 staged"},
		"still staged":     {Stored{Active: 2}, ready(follows), "the store has no version staged"},
		"a higher serial": {
			Stored{Active: 2, Staged: 3, Serial: 6}, ready(follows), "it has seen serial 7, above the store's 6",
		},
		"still signs": {Stored{Active: 2, Disabled: true}, ready(onTwo), "it signs, but the store says"},
		"still off": {
			Stored{Active: 1}, ready(`{"state":"disabled","active_version":1}`), "it is switched off, but",
		},
		"stale": {
			Stored{Active: 2}, ready(`{"state":"stale","active_version":2,"fault":"vault:\u001b[2J sealed"}`),
			"vault: [2J sealed",
		},
		"stale without a fault": {Stored{Active: 2}, ready(`{"state":"stale","active_version":2}`), "it is stale"},
		"not ready": {
			Stored{Active: 2}, `{"ready":false,"configurations":{"acme":` + onTwo + `}}`, "it isn't ready",
		},
		"another service": {two, "404 page not found", "it doesn't answer as a Deskmint does"},
		"another file":    {two, `{"ready":true,"configurations":{}}`, "it has no configuration acme"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, _ := newOps(t, test.response)
			all := newSet(t, address, address).Status(t.Context(), "acme", test.stored)
			if len(all) != 1 || all[0].Address != address ||
				(all[0].Fault == "") != (test.want == "") || !strings.Contains(all[0].Fault, test.want) {
				t.Errorf("%+v, want %q", all, test.want)
			}
			if test.response == ready(follows) && (all[0].Active != 2 || all[0].Staged != 3 || all[0].Serial != 7 ||
				all[0].Success != "2026-11-30T07:00:00Z" || all[0].State != "usable") {
				t.Errorf("%+v", all)
			}
		})
	}
}
