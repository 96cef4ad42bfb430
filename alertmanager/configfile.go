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

// configReadWait is the maximum time that a caller waits for the file. A disk takes milliseconds.
const configReadWait = time.Second

// maxConfigFile is the maximum number of bytes of the file. It has room for certificates
// and keys.
const maxConfigFile = 1 << 20

// configFile has the settings of the HTTP client for one source: credentials and TLS. They
// are read from a file, which is read again at most once a second. If it is then missing or
// wrong, or its disk hangs, the last valid settings stay in force and the status page shows a
// problem.
type configFile struct {
	path   string // "": the default settings
	source string
	logger *slog.Logger

	mu      sync.Mutex
	valid   validConfig // guarded by mu
	readAt  time.Time   // guarded by mu; start of the last read
	reading bool        // guarded by mu; whether a read has not ended
	fault   string      // guarded by mu; why the file is unusable; "": it is usable
}

// validConfig is a valid content of the file. It is immutable.
type validConfig struct {
	text    string
	config  config.HTTPClientConfig
	version int // counts the contents
}

// newConfigFile reads the file. The path may be "".
func newConfigFile(source, path string, logger *slog.Logger) (*configFile, error) {
	f := &configFile{path: path, source: source, logger: logger, valid: validConfig{config: config.DefaultHTTPClientConfig}}
	if path == "" {
		return f, nil
	}
	valid, err := readConfig(path, f.valid)
	if err != nil {
		return nil, fmt.Errorf("--alertmanager.http-config-file: %w", err)
	}
	f.valid = valid
	return f, nil
}

// readConfig reads the file. If its content did not change, it returns what was known.
func readConfig(path string, known validConfig) (validConfig, error) {
	file, err := os.Open(path) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return known, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxConfigFile+1))
	switch {
	case err != nil:
		return known, err
	case len(text) > maxConfigFile:
		return known, fmt.Errorf("%s has more than %d bytes", path, maxConfigFile)
	case string(text) == known.text && known.version > 0:
		return known, nil
	}
	cfg, err := config.LoadHTTPConfig(string(text))
	if err != nil {
		return known, fmt.Errorf("%s: %w", path, withoutValues(err))
	}
	cfg.SetDirectory(filepath.Dir(path))
	// A client also reads the certificates and keys that the file names.
	if _, err := config.NewClientFromConfig(*cfg, "alertmanager"); err != nil {
		return known, fmt.Errorf("%s: %w", path, err)
	}
	return validConfig{string(text), *cfg, known.version + 1}, nil
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
	f.refresh()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.valid.config, f.valid.version
}

// refresh reads the file again if it is time and nobody else reads it. It waits for the read, but
// not longer than configReadWait. Nothing can end a read of a disk that hangs, so nobody waits for
// its goroutine.
func (f *configFile) refresh() {
	f.mu.Lock()
	if f.path == "" || f.reading || time.Since(f.readAt) < configReadInterval {
		f.mu.Unlock()
		return
	}
	f.reading, f.readAt = true, time.Now()
	known := f.valid
	f.mu.Unlock()

	done := make(chan struct{})
	go func() {
		defer close(done)
		f.finish(readConfig(f.path, known))
	}()
	timer := time.NewTimer(configReadWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// finish stores the result of a read, and logs a new one.
func (f *configFile) finish(valid validConfig, err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.valid, f.reading = valid, false
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
	f.refresh()
	f.mu.Lock()
	defer f.mu.Unlock()
	failure, fault := "failed", f.fault
	if f.reading && time.Since(f.readAt) >= configReadWait {
		failure, fault = fmt.Sprintf("takes longer than %s", configReadWait), f.path
	}
	if fault == "" {
		return ""
	}
	return "Reading the HTTP config file for the Alertmanagers of " + f.source + " " + failure +
		", so the last valid one stays in force: " + fault
}
