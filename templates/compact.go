package templates

import (
	"html/template"
	"regexp"
	"strings"
	"text/template/parse"
)

// compact removes the white space that templates have for their readers only, so that the
// indentation is not sent with every page. It works on the parsed templates, so that errors
// still name the right line of a file.
func compact(t *template.Template) {
	for _, one := range t.Templates() {
		if one.Tree != nil {
			var c compactor
			c.node(one.Tree.Root)
		}
	}
}

// compactor compacts the text of one template, from its beginning to its end.
type compactor struct {
	verbatim bool // inside of an element that shows its white space
}

// compactable finds a tag of an element that shows its white space, a tag of a
// block with the white space around it, or other white space.
//
// A browser does not show white space at the edges of a block. Elements that
// the style sheet shows inline (div, h2 and the inline elements) are not in the
// list: one space next to them stays.
var compactable = regexp.MustCompile(`(?i)</?(?:pre|textarea|script|style)\b` +
	`|\s*</?(?:html|head|meta|link|title|body|header|main|nav|footer|section|article|details|summary|dialog|form|select|option|` +
	`p|ol|ul|li|dl|dt|dd|table|thead|tbody|tr|th|td|svg|path|rect)\b(?:[^<>]*>\s*)?` +
	`|\s+`)

func (c *compactor) node(n parse.Node) {
	switch n := n.(type) {
	case *parse.TextNode:
		n.Text = compactable.ReplaceAllFunc(n.Text, c.replace)
	case *parse.ListNode:
		if n == nil {
			return // an if without an else
		}
		for _, child := range n.Nodes {
			c.node(child)
		}
	case *parse.IfNode:
		c.branch(&n.BranchNode)
	case *parse.RangeNode:
		c.branch(&n.BranchNode)
	case *parse.WithNode:
		c.branch(&n.BranchNode)
	default:
	}
}

func (c *compactor) branch(n *parse.BranchNode) {
	c.node(n.List)
	c.node(n.ElseList)
}

func (c *compactor) replace(found []byte) []byte {
	text := string(found)
	tag := strings.TrimSpace(text)
	switch {
	case tag == "" && !c.verbatim:
		return []byte(" ")
	case showsSpace(tag):
		c.verbatim = !strings.HasPrefix(tag, "</")
		return found
	case c.verbatim:
		return found
	default:
		return []byte(strings.Join(strings.Fields(text), " "))
	}
}

// showsSpace reports whether the tag is of an element that shows its white space.
func showsSpace(tag string) bool {
	switch strings.ToLower(strings.TrimLeft(tag, "</")) {
	case "pre", "textarea", "script", "style":
		return true
	default:
		return false
	}
}
