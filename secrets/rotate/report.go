package rotate

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"unicode/utf8"

	"github.com/deskmint/deskmint/secrets"
)

// Report describes a secret without revealing it.
type Report struct {
	Observation
	// Details describes the versions that the store still lists, the newest first.
	Details []VersionReport
}

// VersionReport describes one version.
type VersionReport struct {
	secrets.VersionStatus
	Active, Staged, Previous bool
	// Fate is a remark on the version: deleted, destroyed, to be deleted at a given time.
	Fate string
	// Fingerprint is the same for the same value, in every version and every store. It is empty
	// if the value couldn't be read.
	//
	// It is eight hexadecimal digits of a stretched signature. The secret can't be computed from
	// these 32 bits. The stretching makes it expensive to guess a secret that a person made up.
	// It is less useful to an attacker than a token, which every signed-in user has.
	Fingerprint string
	// Match reports whether the value begins with the given prefix. It is nil if no prefix was
	// given or the value couldn't be read.
	Match *bool
	// Fault is the reason why there is no fingerprint. It is nil for versions that are gone.
	Fault error
}

// Status describes every version of the secret. If prefix isn't empty, it reports for each version
// whether its value begins with prefix. Zendesk displays only a secret's first characters.
func (r *Rotator) Status(ctx context.Context, prefix string) (Report, error) {
	if utf8.RuneCountInString(prefix) > secrets.MaxPrefix {
		return Report{}, fmt.Errorf("%w: a prefix has at most %d characters: don't write more of a secret on a "+
			"command line", ErrRefused, secrets.MaxPrefix)
	}
	o, err := r.observe(ctx)
	if err != nil {
		return Report{}, err
	}
	if o.PointerFault != nil && o.Revision != 0 {
		return Report{}, o.PointerFault
	}
	if o.Latest == 0 {
		return Report{}, fmt.Errorf("%s: %w: stage its first version, or check the configuration's secret.path",
			o.Place, secrets.ErrNotFound)
	}
	report := Report{Observation: o}
	staged := o.Staged()
	for i := len(o.Versions) - 1; i >= 0; i-- {
		vs := o.Versions[i]
		d := VersionReport{
			VersionStatus: vs, Fate: o.Fates[vs.Version],
		}
		if o.Unclear() == "" {
			d.Active, d.Staged, d.Previous = vs.Version == o.Active, vs.Version == staged, vs.Version == o.Previous
		}
		if !vs.Gone || d.Fate == fateSwitch {
			d.Fingerprint, d.Fate, d.Fault = r.fingerprint(ctx, vs.Version, d.Fate)
			d.Match = r.match(ctx, vs.Version, prefix)
		}
		report.Details = append(report.Details, d)
	}
	return report, ctx.Err()
}

// match reports whether version v begins with prefix. It returns nil if the prefix is empty or the
// value can't be read. The value of an unusable version can be read.
func (r *Rotator) match(ctx context.Context, v secrets.Version, prefix string) *bool {
	if prefix == "" {
		return nil
	}
	begins, err := r.Store.Begins(ctx, r.Ref, v, prefix)
	if err != nil {
		return nil
	}
	return &begins
}

// fingerprinted is the text that keys sign to be compared. It has spaces, so it can't be the
// signing input of a JWT.
const fingerprintInput = "deskmint: fingerprint of a secret"

// pbkdf2Rounds is the number of PBKDF2 rounds. They take some hundredths of a second for each
// version.
const pbkdf2Rounds = 100_000

// fingerprint returns the fingerprint of version v, and its fate, which the mark may change.
func (r *Rotator) fingerprint(
	ctx context.Context, v secrets.Version, fate string,
) (fingerprint, newFate string, err error) {
	key, err := r.Store.Key(ctx, r.Ref, v)
	if err != nil {
		return "", fate, err
	}
	if key.Mark().SwitchOnly(v) {
		fate = fateSwitch
	}
	signature, err := key.Sign(ctx, fingerprintInput)
	if err != nil {
		return "", fate, err
	}
	// The salt is constant, because equal secrets must have equal fingerprints.
	stretched, err := pbkdf2.Key(sha256.New, string(signature), []byte(fingerprintInput), pbkdf2Rounds, 4)
	if err != nil {
		return "", fate, err
	}
	return hex.EncodeToString(stretched), fate, nil
}
