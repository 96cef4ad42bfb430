package grouping

import "github.com/go-json-experiment/json/jsontext"

// HeadRecord is the name of the record with the group's own fields. Every stored
// group has it. Every write writes it, and the newest write wins: it is a conflict
// only for an exclusive change or a deletion.
const HeadRecord = "m"

// storedMeta is the stored form of a Meta. Unknown holds the fields that a later
// version added. They are written back unchanged.
type storedMeta struct {
	*Meta

	Unknown jsontext.Value `json:",embed"`
}

// AppendHead implements Document.
func (g *AlertGroup) AppendHead(buffer []byte) ([]byte, error) {
	return appendUsual(buffer, g.Stamp, &g.Meta, func() storedMeta { return storedMeta{&g.Meta, jsontext.Value(g.Unknown)} })
}

func decodeHead(g *AlertGroup, text []byte) (err error) {
	s := storedMeta{Meta: &g.Meta}
	g.Stamp, err = decodeUsual(text, g.Meta.decode, func() any {
		g.Meta = Meta{}
		return &s
	})
	g.Unknown = string(s.Unknown)
	return err
}
