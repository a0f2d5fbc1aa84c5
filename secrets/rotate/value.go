package rotate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/deskmint/deskmint/secrets"
)

// checkValue returns an error for a value that must not be stored. It checks the rules of NewKey.
// It also checks that every store can return the value unchanged.
func checkValue(value []byte) error {
	if _, err := secrets.NewKey(1, value); err != nil {
		what := strings.TrimPrefix(err.Error(), secrets.ErrUnusable.Error()+": version 1 ") // it has no number yet
		return fmt.Errorf("the value is %w: it %s", secrets.ErrUnusable, what)
	}
	switch {
	case !utf8.Valid(value):
		return fmt.Errorf("the value is %w: it is not text in UTF-8, and no store would return it unchanged",
			secrets.ErrUnusable)
	case strings.ContainsFunc(string(value), unicode.IsControl):
		return fmt.Errorf("the value is %w: it has a control character in it (more than one line?)",
			secrets.ErrUnusable)
	}
	return nil
}

// findValue returns the version that has the value of key, or zero if no readable version has it.
func (r *Rotator) findValue(ctx context.Context, o Observation, key secrets.Key) (secrets.Version, error) {
	for _, vs := range o.Versions {
		if vs.Gone {
			continue
		}
		other, err := r.Store.Key(ctx, r.Ref, vs.Version)
		switch {
		case err == nil && other.Mark().SwitchOnly(vs.Version):
		case err == nil && same(ctx, key, other):
			return vs.Version, nil
		case err != nil && !errors.Is(err, secrets.ErrUnusable) && !gone(err):
			return 0, err
		}
	}
	return 0, nil
}

// gone reports whether err means that a version no longer has a value.
func gone(err error) bool {
	return errors.Is(err, secrets.ErrDeleted) || errors.Is(err, secrets.ErrNotFound)
}

// same reports whether two keys make the same signature. It compares in constant time.
func same(ctx context.Context, a, b secrets.Key) bool {
	signature, err := a.Sign(ctx, fingerprintInput)
	return err == nil && b.Verify(fingerprintInput, signature) == nil
}
