package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
)

// middle returns the middle of an element in the viewport.
func middle(ctx context.Context, d driver, selector string) (x, y float64, err error) {
	text, err := d.evaluate(ctx, fmt.Sprintf(`(() => {
		const r = document.querySelector(%q).getBoundingClientRect();
		return JSON.stringify([r.x + r.width / 2, r.y + r.height / 2]);
	})()`, selector))
	if err != nil {
		return 0, 0, err
	}
	var at [2]float64
	err = json.Unmarshal([]byte(text), &at)
	return at[0], at[1], err
}
