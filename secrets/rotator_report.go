package secrets

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"unicode/utf8"
)

// MaxPrefix is how much of a secret may be asked for, in characters: about as
// much as Zendesk shows of it.
const MaxPrefix = 8

// Report is what there is to be said about a secret without saying it.
type Report struct {
	Observed
	// Details are of the versions that the store still lists, the newest first.
	Details []VersionReport
}

// VersionReport is about one version.
type VersionReport struct {
	VersionStatus
	Active, Staged, Previous bool
	// Fate is a remark of the store's: deleted, destroyed, to be deleted at some time.
	Fate string
	// Fingerprint is the same for the same value, in whatever version or store; empty: it
	// couldn't be read. It is eight hexadecimal digits of a stretched signature: 32
	// bits can't be turned back into a secret, the stretching makes guesses at one that
	// somebody thought up expensive, and whoever has signed in once holds more to check
	// guesses with, a token.
	Fingerprint string
	// Match says whether the value begins with the prefix that was asked for; nil:
	// none was, or it couldn't be read.
	Match *bool
	// Fault is why there is no fingerprint; nil for versions that are gone.
	Fault error
}

// Status looks at every version of the secret. With a prefix (Zendesk shows only a
// secret's first characters) it says of each whether it begins so.
func (r *Rotator) Status(ctx context.Context, prefix string) (Report, error) {
	if utf8.RuneCountInString(prefix) > MaxPrefix {
		return Report{}, fmt.Errorf("%w: a prefix has at most %d characters: more of a secret belongs on no command line", ErrRefused, MaxPrefix)
	}
	o, err := r.observe(ctx)
	if err != nil {
		return Report{}, err
	}
	if o.PointerFault != nil && o.Revision != 0 {
		return Report{}, o.PointerFault
	}
	if o.Latest == 0 {
		return Report{}, fmt.Errorf("%s: %w: stage its first version, or check the configuration's secret.path", o.Place, ErrNotFound)
	}
	report := Report{Observed: o}
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

// match is nil where nobody asks, and where the value can't be read, which its
// fingerprint's fault tells; what is merely unusable can be.
func (r *Rotator) match(ctx context.Context, v Version, prefix string) *bool {
	if prefix == "" {
		return nil
	}
	begins, err := r.Store.Begins(ctx, r.Ref, v, prefix)
	if err != nil {
		return nil
	}
	return &begins
}

// fingerprinted is what keys are compared by. With its spaces it is no signing
// input of a JWT.
const fingerprinted = "deskmint: fingerprint of a secret"

// stretch is the number of PBKDF2's rounds: some hundredths of a second a version.
const stretch = 100_000

// fingerprint also returns the version's fate, which its mark may tell.
func (r *Rotator) fingerprint(ctx context.Context, v Version, fate string) (fingerprint, told string, err error) {
	key, err := r.Store.Key(ctx, r.Ref, v)
	if err != nil {
		return "", fate, err
	}
	if key.mark.switchOnly(v) {
		fate = fateSwitch
	}
	signature, err := key.Sign(ctx, fingerprinted)
	if err != nil {
		return "", fate, err
	}
	// No salt of its own: equal secrets are to be seen as such.
	stretched, err := pbkdf2.Key(sha256.New, string(signature), []byte(fingerprinted), stretch, 4)
	if err != nil {
		return "", fate, err
	}
	return hex.EncodeToString(stretched), fate, nil
}
