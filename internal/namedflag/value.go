package namedflag

import (
	"fmt"

	"github.com/alecthomas/kingpin/v2"
)

// Value adds the name of the flag to errors of its value, which kingpin does not do.
type Value struct {
	kingpin.Value

	Name string
}

// Set is part of kingpin.Value.
func (v Value) Set(text string) error {
	if err := v.Value.Set(text); err != nil {
		return fmt.Errorf("--%s: %w", v.Name, err)
	}
	return nil
}
