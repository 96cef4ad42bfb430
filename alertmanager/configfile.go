package alertmanager

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/prometheus/common/config"
)

// configReadInterval is the maximum time until a changed file is noticed.
const configReadInterval = time.Second

// maxConfigFile is the maximum number of bytes of the file. It has room for certificates
// and keys.
const maxConfigFile = 1 << 20

// configFile has the settings of the HTTP client for one source: credentials and TLS. They
// are read from a file, which is read again at most once a second. If it is then missing or
// wrong, the last valid settings stay in force and the status page shows a problem.
type configFile struct {
	path   string // "": the default settings
	source string
	logger *slog.Logger

	mu      sync.Mutex
	text    string                  // guarded by mu; content of the file
	config  config.HTTPClientConfig // guarded by mu
	version int                     // guarded by mu; counts the contents
	readAt  time.Time               // guarded by mu
	fault   string                  // guarded by mu; why the file is unusable; "": it is usable
}

// newConfigFile reads the file. The path may be "".
func newConfigFile(source, path string, logger *slog.Logger) (*configFile, error) {
	f := &configFile{path: path, source: source, logger: logger, config: config.DefaultHTTPClientConfig}
	if path == "" {
		return f, nil
	}
	if err := f.read(); err != nil {
		return nil, fmt.Errorf("--alertmanager.http-config-file: %w", err)
	}
	return f, nil
}

// read reads the file. The caller holds mu or has the only reference.
func (f *configFile) read() error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxConfigFile+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxConfigFile:
		return fmt.Errorf("%s has more than %d bytes", f.path, maxConfigFile)
	case string(text) == f.text && f.version > 0:
		return nil
	}
	cfg, err := config.LoadHTTPConfig(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, withoutValues(err))
	}
	cfg.SetDirectory(filepath.Dir(f.path))
	// A client also reads the certificates and keys that the file names.
	if _, err := config.NewClientFromConfig(*cfg, "alertmanager"); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.text, f.config, f.version = string(text), *cfg, f.version+1
	return nil
}

var quotedValue = regexp.MustCompile("`[^`]*`")

// withoutValues returns the error without values of the file, which can be secret. The
// error of a URL has the URL.
func withoutValues(err error) error {
	if _, ok := errors.AsType[*url.Error](err); ok {
		return errors.New("a URL in it is not valid")
	}
	return errors.New(quotedValue.ReplaceAllString(err.Error(), "`…`"))
}

// current returns the settings, and a number that differs for other settings.
func (f *configFile) current() (config.HTTPClientConfig, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	return f.config, f.version
}

// refresh reads the file again if it is time. The caller holds mu.
func (f *configFile) refresh() {
	if f.path == "" || time.Since(f.readAt) < configReadInterval {
		return
	}
	f.readAt = time.Now()
	fault, err := "", f.read()
	if err != nil {
		fault = err.Error()
	}
	if fault == f.fault {
		return
	}
	if f.fault = fault; err != nil {
		f.logger.Warn("Reading the HTTP config file for Alertmanagers failed, the last valid one stays in force",
			"alertmanagerSource", f.source, "err", err)
	} else {
		f.logger.Info("The HTTP config file for Alertmanagers is valid again", "alertmanagerSource", f.source)
	}
}

// problem returns a sentence about an unusable file, or "".
func (f *configFile) problem() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refresh(); f.fault == "" {
		return ""
	}
	return "Reading the HTTP config file for the Alertmanagers of " + f.source +
		" failed, so the last valid one stays in force: " + f.fault
}
