package wire

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/grouping"
)

// APIGroup is a group of alerts, as GET /api/v2/alerts/groups lists it. The API has no group
// key.
type APIGroup struct {
	Labels   grouping.Labels `json:"labels"`
	Receiver APIReceiver     `json:"receiver"`
	Alerts   []APIAlert      `json:"alerts"`
}

// APIReceiver is a receiver. Name is that of the configuration.
type APIReceiver struct {
	Name string `json:"name"`
}

// APIAlert is an alert that did not end. EndsAt is when it ends if nobody posts it again.
type APIAlert struct {
	Fingerprint  string          `json:"fingerprint"`
	Labels       grouping.Labels `json:"labels"`
	Annotations  grouping.Labels `json:"annotations"`
	StartsAt     time.Time       `json:"startsAt"`
	EndsAt       time.Time       `json:"endsAt"`
	UpdatedAt    time.Time       `json:"updatedAt"`
	GeneratorURL string          `json:"generatorURL,omitempty"`
	Receivers    []APIReceiver   `json:"receivers"`
	Status       APIAlertStatus  `json:"status"`
}

// APIAlertStatus says what mutes an alert: silences by ID, alerts by fingerprint and time
// intervals by name. Alertmanager lists time intervals since 0.28, and in groups only.
type APIAlertStatus struct {
	State       string   `json:"state"` // active, suppressed or unprocessed
	SilencedBy  []string `json:"silencedBy"`
	InhibitedBy []string `json:"inhibitedBy"`
	MutedBy     []string `json:"mutedBy"`
}

// APISilence is a silence, as GET /api/v2/silences lists it. An expired one that somebody
// ended has an EndsAt that equals its UpdatedAt.
type APISilence struct {
	ID          string           `json:"id"`
	Status      APISilenceStatus `json:"status"`
	Matchers    []APIMatcher     `json:"matchers"`
	StartsAt    time.Time        `json:"startsAt"`
	EndsAt      time.Time        `json:"endsAt"`
	UpdatedAt   time.Time        `json:"updatedAt"`
	CreatedBy   string           `json:"createdBy"`
	Comment     string           `json:"comment"`
	Annotations grouping.Labels  `json:"annotations,omitzero"`
}

// PostedSilence is a silence, as POST /api/v2/silences takes it. With the ID of a silence it
// changes that one.
type PostedSilence struct {
	ID          string          `json:"id,omitempty"`
	Matchers    []APIMatcher    `json:"matchers"`
	StartsAt    time.Time       `json:"startsAt"`
	EndsAt      time.Time       `json:"endsAt"`
	CreatedBy   string          `json:"createdBy"`
	Comment     string          `json:"comment"`
	Annotations grouping.Labels `json:"annotations,omitzero"`
}

// APISilenceStatus is the state of a silence: active, pending or expired.
type APISilenceStatus struct {
	State string `json:"state"`
}

// APIMatcher is a matcher. IsEqual is missing in old versions, and means true then.
type APIMatcher struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	IsRegex bool   `json:"isRegex"`
	IsEqual *bool  `json:"isEqual"`
}

// Type returns the operator of the matcher: "=", "!=", "=~" or "!~".
func (m APIMatcher) Type() MatcherType {
	equal := m.IsEqual == nil || *m.IsEqual
	switch {
	case m.IsRegex && equal:
		return "=~"
	case m.IsRegex:
		return "!~"
	case equal:
		return "="
	}
	return "!="
}

// NewAPIMatcher returns the matcher with the operator "=", "!=", "=~" or "!~".
func NewAPIMatcher(name, operator, value string) APIMatcher {
	equal := operator == "=" || operator == "=~"
	return APIMatcher{Name: name, Value: value, IsRegex: operator == "=~" || operator == "!~", IsEqual: &equal}
}

// APIStatus is the answer of GET /api/v2/status.
type APIStatus struct {
	Uptime      time.Time `json:"uptime"` // the time of the last start
	VersionInfo struct {
		Version string `json:"version"`
	} `json:"versionInfo"`
	Config struct {
		Original string `json:"original"`
	} `json:"config"`
}

// ReadStatus reads the answer of GET /api/v2/status.
func ReadStatus(r io.Reader) (*APIStatus, error) {
	var s APIStatus
	if err := json.UnmarshalRead(r, &s); err != nil {
		return nil, err
	}
	if s.VersionInfo.Version == "" {
		return nil, errors.New("the answer has no version: it is not that of an Alertmanager")
	}
	return &s, nil
}

// ReadGroups yields the groups of an answer of GET /api/v2/alerts/groups while it reads. An
// error is the last that it yields. The groups before it are good, but may not be all.
func ReadGroups(r io.Reader) iter.Seq2[*APIGroup, error] { return readList[APIGroup](r) }

// ReadSilences is ReadGroups for GET /api/v2/silences.
func ReadSilences(r io.Reader) iter.Seq2[*APISilence, error] { return readList[APISilence](r) }

// readList yields the elements of a JSON array while it reads.
func readList[T any](r io.Reader) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		dec := jsontext.NewDecoder(r)
		if kind := dec.PeekKind(); kind != jsontext.KindBeginArray {
			_, err := dec.ReadToken()
			if err == nil {
				err = errors.New("the answer is not a list")
			}
			yield(nil, notEnded(err))
			return
		}
		if _, err := dec.ReadToken(); err != nil {
			yield(nil, err)
			return
		}
		for dec.PeekKind() != jsontext.KindEndArray {
			element := new(T)
			if err := json.UnmarshalDecode(dec, element); err != nil {
				yield(nil, notEnded(err))
				return
			}
			if !yield(element, nil) {
				return
			}
		}
		// What follows the list would mean that it is not one.
		if _, err := dec.ReadToken(); err != nil {
			yield(nil, err)
			return
		}
		if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
			yield(nil, fmt.Errorf("the answer goes on after its list, at byte %d", dec.InputOffset()))
		}
	}
}

// notEnded returns an error that is not mistaken for the end of the list.
func notEnded(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
