package testserver

import (
	"sync"

	"muster/pages"
	"muster/templates"
)

// renderers are shared by all servers: parsing the templates takes longer than most
// tests.
var renderers rendererCache

type rendererCache struct {
	mu    sync.Mutex
	byURL map[string]*templates.Renderer // guarded by mu
}

// at returns the renderer of pages that are reached at the URL.
func (c *rendererCache) at(externalURL string) (*templates.Renderer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.byURL[externalURL]; known != nil {
		return known, nil
	}
	renderer, err := pages.Options{ExternalURL: externalURL}.NewRenderer()
	if err != nil {
		return nil, err
	}
	if c.byURL == nil {
		c.byURL = map[string]*templates.Renderer{}
	}
	c.byURL[externalURL] = renderer
	return renderer, nil
}
