package testserver

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"muster/grouping"
)

// Silencer is all that the doors need to change silences.
type Silencer interface {
	Sources() []string
	CanSilence(source string) bool
	CreateSilence(ctx context.Context, source string, s grouping.Silence, request string, by grouping.Person) (string, error)
	ExtendSilence(ctx context.Context, source, id string, until time.Time, by grouping.Person) (string, error)
	ExpireSilence(ctx context.Context, source, id string, by grouping.Person) error
	PassPost(ctx context.Context, source, contentType string, body []byte, by grouping.Person) (grouping.SilenceAnswer, error)
	PassDelete(ctx context.Context, source, id string, by grouping.Person) (grouping.SilenceAnswer, error)
}

// SilenceCall is a call of a FakeSilencer.
type SilenceCall struct {
	Source, ID string
	Silence    grouping.Silence // of CreateSilence
	Request    string
	Until      time.Time // of ExtendSilence
	Body       string    // of PassPost
	By         grouping.Person
}

// FakeSilencer is a Silencer without an Alertmanager. It answers each call with Err, or else with
// an ID or an Answer.
type FakeSilencer struct {
	Names  []string // the sources
	Answer grouping.SilenceAnswer
	Err    error
	// Made is called with the ID of each created silence, if it is not nil.
	Made func(source, id string, s grouping.Silence, by grouping.Person)
	// OnCall is called at each call, if it is not nil.
	OnCall func()

	mu    sync.Mutex
	calls []SilenceCall // guarded by mu
}

// FakeSilenceID is the ID of each silence that a FakeSilencer makes.
const FakeSilenceID = "5e2f3c1a-7f0d-4f58-9d55-0b6f0f8a2c11"

// Calls returns the calls so far.
func (f *FakeSilencer) Calls() []SilenceCall {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *FakeSilencer) add(c SilenceCall) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, c)
	if f.OnCall != nil {
		f.OnCall()
	}
	return f.Err
}

// Sources implements Silencer.
func (f *FakeSilencer) Sources() []string { return slices.Clone(f.Names) }

// CanSilence implements Silencer.
func (f *FakeSilencer) CanSilence(source string) bool { return slices.Contains(f.Names, source) }

// CreateSilence implements Silencer.
func (f *FakeSilencer) CreateSilence(
	_ context.Context, source string, s grouping.Silence, request string, by grouping.Person,
) (string, error) {
	err := f.add(SilenceCall{Source: source, Silence: s, Request: request, By: by})
	if err == nil && f.Made != nil {
		f.Made(source, FakeSilenceID, s, by)
	}
	return FakeSilenceID, err
}

// ExtendSilence implements Silencer.
func (f *FakeSilencer) ExtendSilence(_ context.Context, source, id string, until time.Time, by grouping.Person) (string, error) {
	return id, f.add(SilenceCall{Source: source, ID: id, Until: until, By: by})
}

// ExpireSilence implements Silencer.
func (f *FakeSilencer) ExpireSilence(_ context.Context, source, id string, by grouping.Person) error {
	return f.add(SilenceCall{Source: source, ID: id, By: by})
}

// PassPost implements Silencer.
func (f *FakeSilencer) PassPost(
	_ context.Context, source, _ string, body []byte, by grouping.Person,
) (grouping.SilenceAnswer, error) {
	return f.answer(), f.add(SilenceCall{Source: source, Body: string(body), By: by})
}

// PassDelete implements Silencer.
func (f *FakeSilencer) PassDelete(_ context.Context, source, id string, by grouping.Person) (grouping.SilenceAnswer, error) {
	return f.answer(), f.add(SilenceCall{Source: source, ID: id, By: by})
}

func (f *FakeSilencer) answer() grouping.SilenceAnswer {
	if f.Answer.Status == 0 {
		return grouping.SilenceAnswer{
			Status: http.StatusOK, ContentType: "application/json", Body: []byte(`{"silenceID":"` + FakeSilenceID + `"}` + "\n"),
		}
	}
	return f.Answer
}
