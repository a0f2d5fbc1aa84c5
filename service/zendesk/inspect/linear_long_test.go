//go:build long

package inspect_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/zendesk/inspect"
)

// TestIsLinear checks that a token with very many members doesn't cost much more than
// reading it. Comparing each name with all earlier ones took half a minute for a third as many
// members.
func TestIsLinear(t *testing.T) {
	var b strings.Builder
	b.WriteString(goodPayload[:len(goodPayload)-1])
	for i := range 300_000 {
		fmt.Fprintf(&b, `,"%x":0`, i)
	}
	b.WriteString("}")
	key := testKey(t, 1, testSecret)
	token := seal(t, key, encode(goodHeader), encode(b.String()))
	profile, done := testProfile(t), make(chan inspect.Result, 1)
	go func() { done <- inspect.Token(profile, token, []secrets.Key{key}, inspectTime) }()
	select {
	case got := <-done:
		wantProblems(t, got)
	case <-time.After(2 * time.Minute):
		t.Errorf("inspecting %d bytes takes more than two minutes", len(token))
	}
}
