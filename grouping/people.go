package grouping

import (
	"context"
	"strings"
	"time"
)

// The methods below are the writes of people. Each is written into the log and into the
// history with the name of the person. To repeat one changes nothing.

// AckRequest asks for an acknowledgement of the present episode of a group.
type AckRequest struct {
	By    Person
	Note  string
	Until time.Time // zero: until the episode is over
	// Episode is the Opened of the group that the person saw, or "".
	Episode Stamp
}

// UnackRequest asks to undo the acknowledgement with the ID.
type UnackRequest struct {
	By  Person
	Ack string
}

// NoteRequest asks for a note. The client chooses its ID, or leaves that to the manager.
type NoteRequest struct {
	By   Person
	ID   string
	Text string
}

// CloseRequest asks to close a group. Episode is that of an AckRequest.
type CloseRequest struct {
	By      Person
	Episode Stamp
}

// Acknowledge acknowledges the present episode of a group, and returns the group. If no episode
// runs, or another than the person saw, it returns an *EpisodeOverError. If the same person did
// the same before, and no alert is new since, nothing changes.
func (m *Manager) Acknowledge(ctx context.Context, id ID, r AckRequest) (*AlertGroup, error) {
	if err := r.validate(m.clock.Now()); err != nil {
		return nil, err
	}
	return m.writeOfPerson(ctx, "acknowledge", id, r.By, func(tr *transition) error { return tr.acknowledge(r) })
}

// Unacknowledge undoes an acknowledgement, and returns the group. The one before it counts
// then. If the acknowledgement is not known, it returns an *AckNotFoundError. If somebody undid
// it before, nothing changes.
func (m *Manager) Unacknowledge(ctx context.Context, id ID, r UnackRequest) (*AlertGroup, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	return m.writeOfPerson(ctx, "unacknowledge", id, r.By, func(tr *transition) error { return tr.unacknowledge(r) })
}

// AddNote adds a note to a group, and returns the group. If the group has a note with the ID,
// nothing changes.
func (m *Manager) AddNote(ctx context.Context, id ID, r NoteRequest) (*AlertGroup, error) {
	r.Text = strings.ReplaceAll(r.Text, "\r\n", "\n") // forms send these
	if err := r.validate(); err != nil {
		return nil, err
	}
	return m.writeOfPerson(ctx, "add_note", id, r.By, func(tr *transition) error { return tr.addNote(r) })
}

// Close closes a group that its sender does not close, and returns the group. Its firing alerts
// become unreported. A later notification opens it again. If the group is resolved, or somebody
// closed it before, nothing changes. If another episode runs than the person saw, Close returns
// an *EpisodeOverError.
func (m *Manager) Close(ctx context.Context, id ID, r CloseRequest) (*AlertGroup, error) {
	if err := r.By.validate(); err != nil {
		return nil, err
	}
	return m.writeOfPerson(ctx, "close", id, r.By, func(tr *transition) error { return tr.close(r) })
}

func (r *AckRequest) validate(now time.Time) error {
	if err := r.By.validate(); err != nil {
		return err
	}
	if !r.Until.IsZero() && !r.Until.After(now) {
		return &InvalidError{"until", r.Until.UTC().Format(time.RFC3339) + " is not in the future"}
	}
	return validateText("note", r.Note)
}

func (r *UnackRequest) validate() error {
	if r.Ack == "" {
		return &InvalidError{"ack", "the ID of the acknowledgement to undo is required"}
	}
	return r.By.validate()
}

func (r *NoteRequest) validate() error {
	if err := r.By.validate(); err != nil {
		return err
	}
	if strings.TrimSpace(r.Text) == "" {
		return &InvalidError{"text", "a note without text cannot be added"}
	}
	if len(r.ID) > maxNoteID || strings.ContainsFunc(r.ID, func(c rune) bool { return !isKeyRune(c) }) {
		return &InvalidError{"id", "an ID has letters, digits, - and _ only, and at most 64"}
	}
	return validateText("text", r.Text)
}

func isKeyRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// writeOfPerson makes one write of a person to a group. plan changes the transition, or returns
// errNoChange.
func (m *Manager) writeOfPerson(
	ctx context.Context, operation string, id ID, by Person, plan func(tr *transition) error,
) (*AlertGroup, error) {
	if err := m.startOperation(ctx, operation); err != nil {
		return nil, err
	}
	if known := m.index.get(id); known == nil {
		if moved := m.movedFromAPI(id); moved != nil {
			id = moved.ID
		}
	}
	changed := false
	g, err := m.write(ctx, id, func(base *AlertGroup) (Change, error) {
		if changed = false; base == nil || base.IsTombstone() {
			return Change{}, &GroupNotFoundError{ID: id}
		}
		tr := newTransition(base, base.Key, m.clock.Stamp())
		tr.rules = m.rules()
		if err := plan(&tr); err != nil {
			return Change{}, err
		}
		changed = true
		return tr.finish(), nil
	})
	if err == nil && changed {
		m.logger.Info("A person changed a group", "operation", operation, "group", g.ID, "by", by.Name, "verified", by.Verified)
	}
	return g, err
}

// takeOver moves what people wrote in a group that only the API told of to the group with the
// real key.
func (m *Manager) takeOver(ctx context.Context, id ID, old *AlertGroup) error {
	_, err := m.write(ctx, id, func(base *AlertGroup) (Change, error) {
		if base == nil || base.IsTombstone() {
			return Change{}, &GroupNotFoundError{ID: id}
		}
		tr := newTransition(base, base.Key, m.clock.Stamp())
		tr.rules = m.rules()
		if !tr.takeOver(old) {
			return Change{}, errNoChange
		}
		return tr.finish(), nil
	})
	return err
}
