package file

import (
	"cmp"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/deskmint/deskmint/secrets"
)

// switches are the secrets that a file switches off: what [secrets.ReadSwitch] says, by path.
type switches map[string]string

// findSwitches reads the kill switches of a file that is otherwise at fault. It errs on the side
// of off. A file that isn't even YAML is searched line by line.
func findSwitches(data []byte) switches {
	found := switches{}
	root, faults := document(data)
	if faults != nil {
		found.scan(string(data))
		return found
	}
	for key, value := range pairs(root) {
		if key.Value != "secrets" {
			continue
		}
		for path, secret := range pairs(value) {
			for key, value := range pairs(secret) {
				if by := switchOf(value); by != "" && strings.EqualFold(key.Value, "disabled") {
					found[path.Value] = by
				}
			}
		}
	}
	return found
}

// pairs yields the keys and values of a mapping, those of its aliases and merge keys included.
// It may yield a key several times.
func pairs(n *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) { eachPair(n, maxMerges, yield) }
}

// maxMerges is how deep merge keys may refer to each other. An anchor can refer to itself.
const maxMerges = 8

func eachPair(n *yaml.Node, depth int, yield func(key, value *yaml.Node) bool) bool {
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || depth == 0 {
		return true
	}
	if n.Kind == yaml.SequenceNode {
		for _, item := range n.Content { // of a merge key with several mappings
			if !eachPair(item, depth-1, yield) {
				return false
			}
		}
		return true
	}
	if n.Kind != yaml.MappingNode {
		return true
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.ShortTag() == "!!merge" {
			if !eachPair(value, depth-1, yield) {
				return false
			}
		} else if !yield(key, value) {
			return false
		}
	}
	return true
}

// switchOf reads the value of `disabled`. What isn't a single value is no plain no.
func switchOf(n *yaml.Node) (disabledBy string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return secrets.ReadSwitch("no value")
	}
	return secrets.ReadSwitch(n.Value)
}

var (
	// keyLine is a line that begins with a key: its indent, the key, and what follows it.
	keyLine = regexp.MustCompile(`^(\s*)["']?([^"'#]*?)["']?\s*:(?:\s+(.*))?$`)
	// inlineSwitch is the switch of a secret that is written in one line.
	inlineSwitch = regexp.MustCompile(`(?i)["']?\bdisabled["']?\s*:\s*([^,}]*)`)
)

// tab is what a tab is taken for. YAML forbids it in an indent.
const tab = "        "

// scan finds the switches of a text by its lines and their indents.
func (s switches) scan(text string) {
	type open struct {
		indent int
		key    string
	}
	var above []open
	for line := range strings.Lines(text) {
		parts := keyLine.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if parts == nil {
			continue
		}
		indent, key, value := len(strings.ReplaceAll(parts[1], "\t", tab)), parts[2], parts[3]
		for len(above) > 0 && above[len(above)-1].indent >= indent {
			above = above[:len(above)-1]
		}
		if len(above) > 0 && strings.EqualFold(key, "disabled") {
			s.note(above[len(above)-1].key, value)
		} else if inline := inlineSwitch.FindStringSubmatch(value); inline != nil {
			s.note(key, inline[1])
		}
		above = append(above, open{indent, key})
	}
}

func (s switches) note(path, value string) {
	value, _, _ = strings.Cut(value, " #")
	value = strings.Trim(strings.TrimRight(strings.TrimSpace(value), ",} "), `"'`)
	if by := secrets.ReadSwitch(cmp.Or(value, "no value")); by != "" {
		s[path] = by
	}
}
