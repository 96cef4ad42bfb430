package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// source posts alerts to Alertmanager like Prometheus. It repeats firing alerts, each
// time with an end in the near future. So they resolve if the demo is killed.
type source struct {
	url       string
	firing    map[*alert]bool
	refreshed time.Time
}

const (
	// lease is the time from now to the end of a firing alert.
	lease = time.Minute
	// refreshInterval is the time between two posts of a firing alert.
	refreshInterval = lease / 6
)

// alert is an alert of the story.
type alert struct {
	labels, annotations map[string]string
	expr                string
	startsAt            time.Time // start of the current episode
}

// post posts alerts to Alertmanager. If endsAt is zero, the alerts fire.
func (s *source) post(ctx context.Context, endsAt time.Time, alerts ...*alert) error {
	type posted struct {
		Labels       map[string]string `json:"labels"`
		Annotations  map[string]string `json:"annotations"`
		StartsAt     time.Time         `json:"startsAt"`
		EndsAt       time.Time         `json:"endsAt"`
		GeneratorURL string            `json:"generatorURL"`
	}
	if endsAt.IsZero() {
		endsAt = time.Now().Add(lease)
	}
	body := make([]posted, 0, len(alerts))
	for _, a := range alerts {
		body = append(body, posted{a.labels, a.annotations, a.startsAt, endsAt, "https://prometheus.example.org/graph?g0.expr=" + a.expr})
	}
	return s.do(ctx, http.MethodPost, "/api/v2/alerts", body, nil)
}

// fire starts a new episode of each alert that does not fire.
func (s *source) fire(ctx context.Context, alerts ...*alert) error {
	if s.firing == nil {
		s.firing = map[*alert]bool{}
	}
	for _, a := range alerts {
		if !s.firing[a] {
			a.startsAt = time.Now()
			s.firing[a] = true
		}
	}
	return s.post(ctx, time.Time{}, alerts...)
}

func (s *source) resolve(ctx context.Context, alerts ...*alert) error {
	for _, a := range alerts {
		delete(s.firing, a)
	}
	return s.post(ctx, time.Now(), alerts...)
}

// refresh posts the firing alerts again if refreshInterval has elapsed.
func (s *source) refresh(ctx context.Context) error {
	if time.Since(s.refreshed) < refreshInterval {
		return nil
	}
	s.refreshed = time.Now()
	var alerts []*alert
	for a := range s.firing {
		alerts = append(alerts, a)
	}
	return s.post(ctx, time.Time{}, alerts...)
}

// silence silences the alerts with a label value and returns the ID of the silence.
func (s *source) silence(ctx context.Context, name, value, comment string) (string, error) {
	now := time.Now()
	body := map[string]any{
		"matchers":  []map[string]any{{"name": name, "value": value, "isRegex": false, "isEqual": true}},
		"startsAt":  now,
		"endsAt":    now.Add(10 * time.Minute),
		"createdBy": "demo",
		"comment":   comment,
	}
	var answer struct {
		SilenceID string `json:"silenceID"`
	}
	err := s.do(ctx, http.MethodPost, "/api/v2/silences", body, &answer)
	return answer.SilenceID, err
}

// expire ends a silence.
func (s *source) expire(ctx context.Context, id string) error {
	return s.do(ctx, http.MethodDelete, "/api/v2/silence/"+id, nil, nil)
}

func (s *source) do(ctx context.Context, method, path string, body, answer any) (err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err = io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("rejected: %s %s: %s: %s", method, s.url+path, resp.Status, text)
	}
	if answer != nil {
		return json.Unmarshal(text, answer)
	}
	return nil
}
