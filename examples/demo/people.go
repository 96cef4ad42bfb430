package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// person writes through the API of Muster.
type person struct{ name, muster string }

// acknowledge acknowledges the groups with the alert that Muster knows.
func (p person) acknowledge(ctx context.Context, a *alert, note string) error {
	return p.write(ctx, a, "ack", map[string]string{"by": p.name, "note": note})
}

// addNote adds a note to these groups.
func (p person) addNote(ctx context.Context, a *alert, text string) error {
	return p.write(ctx, a, "notes", map[string]string{"by": p.name, "text": text})
}

func (p person) write(ctx context.Context, a *alert, path string, body any) error {
	var found struct {
		Groups []struct{ ID string }
	}
	filter := url.QueryEscape(fmt.Sprintf("alertname=%q", a.labels["alertname"]))
	muster := source{url: p.muster}
	if err := muster.do(ctx, http.MethodGet, "/api/v1/groups?state=firing&filter="+filter, nil, &found); err != nil {
		return err
	}
	for _, g := range found.Groups {
		if err := muster.do(ctx, http.MethodPost, "/api/v1/groups/"+g.ID+"/"+path, body, nil); err != nil {
			return err
		}
	}
	return nil
}
