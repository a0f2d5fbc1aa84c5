package rotate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/deskmint/deskmint/secrets"
)

// An Observation is the state of a secret in a store, together with the information in the marks of
// its versions. Versions that were written only for a mark are reported as gone.
type Observation struct {
	secrets.Observed
	// Marked reports that there is no pointer although versions have a [secrets.Mark]. The metadata
	// were then wiped, and replicas that start now refuse to sign.
	Marked bool
	// MarksFault is the reason why not every mark could be read, or nil.
	MarksFault error
	// MarkedOff is a switch-off that a mark records and that is missing in the metadata. It is
	// empty if there is none. If there is one, replicas that start now don't sign.
	MarkedOff string
	// MarkSerial is the highest serial of a mark.
	MarkSerial uint64
	// Switches are the versions that were written only for the mark of a switch-off, the newest
	// first.
	Switches []secrets.Version
}

// fateSwitch is the fate of a version that was written only for the mark of a switch-off.
const fateSwitch = "marks a switch-off"

// observe reads the store, and the marks of all versions that have a value.
func (r *Rotator) observe(ctx context.Context) (Observation, error) {
	seen, err := r.Store.Observe(ctx, r.Ref.Path)
	o := Observation{Observed: seen}
	if err != nil || o.Revision != 0 { // the metadata of such a store can't be lost without its values
		return o, err
	}
	o.Fates = maps.Clone(o.Fates)
	metadata := o.Status
	for _, vs := range slices.Backward(metadata.Versions) {
		if vs.Gone {
			continue
		}
		m, err := r.Store.Mark(ctx, r.Ref.Path, vs.Version)
		if err != nil && !gone(err) {
			o.MarksFault = err // not returned, because it must not prevent a switch-off
		}
		if err != nil || m == (secrets.Mark{}) {
			continue
		}
		o.Marked = o.Marked || !o.Pinned
		o.MarkSerial = max(o.MarkSerial, m.Serial)
		if m.SwitchesOff(metadata) {
			o.MarkedOff = cmp.Or(o.MarkedOff, m.Disabled)
		}
		if m.SwitchOnly(vs.Version) {
			o.Switches = append(o.Switches, vs.Version)
			o.Status = o.Without(vs.Version)
			o.Fates[vs.Version] = fateSwitch
		}
	}
	if slices.Contains(o.Switches, o.Previous) {
		o.Previous = o.Before(o.Active)
	}
	return o, nil
}

// Unclear returns the reason why the version that signs can't be determined. It is empty if it can.
func (o Observation) Unclear() string {
	switch {
	case o.PointerFault != nil:
		return fmt.Sprintf("its pointer can't be read: %v", o.PointerFault)
	case !o.Pinned && o.MarksFault != nil:
		return fmt.Sprintf("it has no active_version, and the marks of its versions can't be read: %v", o.MarksFault)
	case !o.Pinned && (o.Managed || o.Marked):
		return "it has no active_version, though `deskmint secret` has changed it: its metadata were wiped (`vault " +
			"kv metadata put -custom-metadata` and some provisioning tools replace all of them)"
	case !o.Pinned && o.Wiped && o.Latest > 1:
		return fmt.Sprintf("it has other metadata but no active_version: if they were written as a whole (`vault kv "+
			"metadata put -custom-metadata`), version %d is the latest but maybe not the one that signs", o.Latest)
	}
	return ""
}

// firstUnpinned reports whether the secret has one version and never had metadata. It is in this
// state for a moment while the first version is staged, or after staging was interrupted.
func (o Observation) firstUnpinned() bool {
	return o.Revision == 0 && o.Latest == 1 && !o.Pinned && !o.Managed && o.MarksFault == nil && o.PointerFault == nil
}
