package file

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/deskmint/deskmint/secrets"
)

// switches are the kill switches of a faulty file.
type switches struct {
	// byKey has the results of [secrets.ReadSwitch]. Its keys are all keys above a switch in the
	// file. Those that aren't paths of secrets do no harm.
	byKey map[string]string
	// all is a switch that can't be assigned to one secret. It switches off every secret of the
	// file.
	all string
}

// of returns the switch of the secret at path. It is empty if the secret is on.
func (s switches) of(path string) string { return cmp.Or(s.byKey[path], s.all) }

// findSwitches finds the kill switches of a file. If the meaning is in doubt, it returns a switch
// that is off. A switch that was written by hand in an emergency may have the wrong indent or no
// colon, or the file may not even be YAML.
func findSwitches(data []byte) switches {
	found := switches{byKey: map[string]string{}}
	if root, faults := document(data); faults == nil {
		found.walk(root, nil, maxDepth)
	}
	found.scan(string(data))
	return found
}

// maxDepth is the maximum depth of walk. It is necessary because an anchor can refer to itself.
const maxDepth = 16

// walk finds the switches below a node. The path to the node is in above.
func (s *switches) walk(n *yaml.Node, above []string, depth int) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if depth == 0 {
		return
	}
	if n.Kind != yaml.MappingNode {
		for _, item := range n.Content {
			s.walk(item, above, depth-1)
		}
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if strings.EqualFold(key.Value, "disabled") {
			s.note(above, switchOf(value))
		}
		next := above
		if key.ShortTag() != "!!merge" { // a merge adds its keys at this level
			next = append(slices.Clone(above), key.Value)
		}
		s.walk(value, next, depth-1)
	}
}

// switchOf parses the value of `disabled`. A value that isn't a scalar means off.
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
	// keyLine matches a line that begins with a key: its indent, the key, and the rest.
	keyLine = regexp.MustCompile(`^([\s\p{Z}\x{FEFF}-]*)["']?([^"'#]*?)["']?[\s\p{Z}]*:(?:[\s\p{Z}]+.*)?$`)
	// switchText matches a switch anywhere in a line: the text before it, and its value.
	switchText = regexp.MustCompile(
		`(?i)^(|.*?[^\pL\pN_-])["']?disabled["']?(?:[\s\p{Z}]*[:=][\s\p{Z}]*|[\s\p{Z}]+|$)([^,}\]#]*)`,
	)
	// anyKey matches a key anywhere in a line.
	anyKey = regexp.MustCompile(`["']?([^"'{}\[\],:\s]+)["']?[\s\p{Z}]*:`)
)

// tab replaces a tab, which YAML forbids in an indent.
const tab = "        "

// scan finds the switches of a text. It uses only the lines and their indents.
func (s *switches) scan(text string) {
	type open struct {
		indent int
		key    string
	}
	var above []open
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		indent := -1
		parts := keyLine.FindStringSubmatch(line)
		if parts != nil {
			indent = utf8.RuneCountInString(strings.ReplaceAll(parts[1], "\t", tab))
			for len(above) > 0 && above[len(above)-1].indent >= indent {
				above = above[:len(above)-1]
			}
		}
		if found := switchText.FindStringSubmatch(line); found != nil {
			var keys []string
			for _, o := range above {
				keys = append(keys, o.key)
			}
			for _, key := range anyKey.FindAllStringSubmatch(found[1], -1) {
				keys = append(keys, key[1])
			}
			value := strings.Trim(strings.TrimSpace(found[2]), `"'`)
			s.note(keys, secrets.ReadSwitch(cmp.Or(value, "no value")))
		}
		if parts != nil {
			above = append(above, open{indent, parts[2]})
		}
	}
}

// note records a switch. It switches off the secrets that the keys above the switch name. If no key
// can be a path, it switches off all secrets.
func (s *switches) note(above []string, by string) {
	if by == "" {
		return
	}
	paths := slices.DeleteFunc(slices.Clone(above), func(key string) bool {
		return slices.Contains([]string{"secrets", "versions", "active", "previous", "disabled", ""},
			strings.ToLower(key)) || canonical.MatchString(key)
	})
	if len(paths) == 0 {
		s.all = by
	}
	for _, path := range paths {
		s.byKey[path] = by
	}
}
