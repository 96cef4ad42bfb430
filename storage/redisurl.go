package storage

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// RedisTLS are the files for a URL that begins with rediss://. Without a CA
// those of the system are trusted.
type RedisTLS struct {
	CAFile, CertFile, KeyFile string
	// ServerName is the name that the certificate must have. "": the host that
	// is dialled.
	ServerName string
}

// servers is how the Redis of a URL is reached: one server, the Sentinels that
// know it, or nodes of a cluster. One of the three is set.
type servers struct {
	single   *redis.Options
	sentinel *redis.FailoverOptions
	cluster  *redis.ClusterOptions

	password, sentinelPassword passwordFile
	// caFile has the certificates that sign those of the servers. "": the system's.
	caFile  string
	secrets *secrets
}

// replicaOptions are those of a URL that make the client read from replicas.
var replicaOptions = []string{"read_only", "route_by_latency", "route_randomly", "replica_only", "use_disconnected_replicas"}

const encoded = "in a password each of / ? # % & @ must be percent-encoded"

// parseServers reads the URL as go-redis does. An error names the flag
// that is wrong, and has nothing of a password in it.
func parseServers(o RedisOptions) (s servers, err error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Fragment != "" {
		return s, errors.New("--redis.url: is not a URL; " + encoded)
	}
	query := u.Query()
	for _, name := range replicaOptions {
		if query.Has(name) {
			return s, fmt.Errorf("--redis.url: %s is not possible: a replica may be behind and cannot be written to", name)
		}
	}
	switch {
	case u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		return s, errors.New("--redis.url: begins with none of redis://, rediss:// and unix://")
	case query.Has("master_name"):
		s.sentinel, err = redis.ParseFailoverURL(o.URL)
	case query.Has("addr"):
		s.cluster, err = redis.ParseClusterURL(o.URL)
	default:
		s.single, err = redis.ParseURL(o.URL)
	}
	if err == nil {
		err = checkPorts(append(query["addr"], u.Host))
	}
	switch {
	case err != nil && strings.Contains(o.URL, "@"), err != nil && query.Has("password"):
		// A character that is not encoded makes a part of the password pass for
		// a port, a path or an option, and the message would have it.
		return s, errors.New("--redis.url: a port, a path or an option is not valid (which one is not said: it may be a part of the password); " + encoded)
	case err != nil:
		return s, fmt.Errorf("--redis.url: %s", strings.TrimPrefix(err.Error(), "redis: "))
	case s.sentinel != nil && s.sentinel.MasterName == "":
		return s, errors.New("--redis.url: master_name is empty")
	case s.cluster != nil && strings.Trim(u.Path, "/0") != "":
		return s, errors.New("--redis.url: a cluster has no database but 0")
	case s.sentinel == nil && o.SentinelPasswordFile != "":
		return s, errors.New("--redis.sentinel-password-file: the URL names no Sentinels: they come with master_name")
	}
	if err := s.setPasswords(o); err != nil {
		return s, err
	}
	return s, s.setTLS(o.TLS)
}

// checkPorts refuses what would only fail when it is dialled.
func checkPorts(addresses []string) error {
	for _, address := range addresses {
		u := url.URL{Host: address}
		if _, err := strconv.ParseUint(cmp.Or(u.Port(), "0"), 10, 16); err != nil {
			return fmt.Errorf("%q has no valid port", address)
		}
	}
	return nil
}

// setPasswords takes the passwords of the URL, or the files that replace them.
func (s *servers) setPasswords(o RedisOptions) error {
	s.secrets = &secrets{}
	s.password = passwordFile{"redis.password-file", o.PasswordFile, s.secrets}
	s.sentinelPassword = passwordFile{"redis.sentinel-password-file", o.SentinelPasswordFile, s.secrets}
	for _, file := range []passwordFile{s.password, s.sentinelPassword} {
		if file.path == "" {
			continue
		}
		if _, err := file.read(); err != nil {
			return err
		}
	}
	switch {
	case s.cluster != nil:
		s.secrets.add(s.cluster.Password)
	case s.sentinel != nil:
		s.secrets.add(s.sentinel.Password)
		s.secrets.add(s.sentinel.SentinelPassword)
		if s.sentinelPassword.path != "" {
			s.sentinel.SentinelPassword = "" // else the client would try it
		}
	default:
		s.secrets.add(s.single.Password)
	}
	return nil
}

func (s *servers) tlsConfig() *tls.Config {
	switch {
	case s.cluster != nil:
		return s.cluster.TLSConfig
	case s.sentinel != nil:
		return s.sentinel.TLSConfig
	default:
		return s.single.TLSConfig
	}
}

func (s *servers) setTLS(o RedisTLS) error {
	config := s.tlsConfig()
	for _, f := range []struct{ option, value string }{
		{"tls-ca-file", o.CAFile}, {"tls-cert-file", o.CertFile}, {"tls-key-file", o.KeyFile}, {"tls-server-name", o.ServerName},
	} {
		if f.value != "" && config == nil {
			return fmt.Errorf("--redis.%s: needs a --redis.url that begins with rediss://", f.option)
		}
	}
	if config == nil {
		return nil
	}
	config.MinVersion = tls.VersionTLS12
	if s.single == nil {
		// go-redis takes the URL's host for all of them. Empty: each must have a
		// certificate of its own name.
		config.ServerName = ""
	}
	if o.ServerName != "" {
		config.ServerName = o.ServerName
	}
	s.caFile = o.CAFile
	if o.CAFile != "" {
		if _, err := authorities(o.CAFile); err != nil {
			return err
		}
	}
	switch {
	case o.CertFile == "" && o.KeyFile == "":
		return nil
	case o.KeyFile == "":
		return errors.New("--redis.tls-cert-file: needs --redis.tls-key-file")
	case o.CertFile == "":
		return errors.New("--redis.tls-key-file: needs --redis.tls-cert-file")
	}
	if _, err := clientCertificate(o); err != nil {
		return err
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return clientCertificate(o) }
	return nil
}

// limits bound what a client waits for and holds.
type limits struct {
	answer, dial, pool time.Duration
	connections        int // to each server
	// watcher finds out that a server hangs. nil: an answer that takes longer
	// than its time limit tells.
	watcher *watcher
}

// dialer returns how a client connects.
func (l limits) dialer(config *tls.Config, caFile string) dialFunc {
	dial := plainDialer(l.dial)
	if l.watcher != nil {
		dial = l.watcher.dialer(dial)
	}
	if config != nil {
		dial = tlsDialer(dial, config, caFile, l.dial)
	}
	return dial
}

func plainDialer(timeout time.Duration) dialFunc {
	return (&net.Dialer{Timeout: timeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true}}).DialContext
}

// clusterReload is how soon a client hears of a failover whose victim refuses
// connections: go-redis asks anew only after this time, or when redirected.
const clusterReload = time.Second

// open returns a client, which dials nothing yet. It never sends twice to one
// server by itself: a script that was sent may have been applied. In a cluster
// it follows redirections, where what was sent before was refused, and tries
// once more where a connection broke; the scripts know what they have applied.
func (s *servers) open(l limits) redis.UniversalClient {
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch {
	case s.cluster != nil:
		o := *s.cluster
		o.Addrs = slices.Clone(o.Addrs) // the client appends to them
		o.ContextTimeoutEnabled, o.DisableIdentity, o.MaintNotificationsConfig = true, true, quiet
		o.ReadTimeout, o.WriteTimeout, o.DialTimeout, o.PoolTimeout = l.answer, l.answer, l.dial, l.pool
		o.MaxRetries, o.DialerRetries, o.PoolSize = -1, 1, l.connections
		o.Dialer = l.dialer(o.TLSConfig, s.caFile)
		o.CredentialsProviderContext = s.credentials(o.Username)
		o.ClusterStateReloadInterval = clusterReload
		o.DisableRoutingPolicies = true // asks for COMMAND, which an ACL may forbid
		return redis.NewClusterClient(&o)
	case s.sentinel != nil:
		o := *s.sentinel
		o.ContextTimeoutEnabled, o.DisableIdentity = true, true
		o.ReadTimeout, o.WriteTimeout, o.DialTimeout, o.PoolTimeout = l.answer, l.answer, l.dial, l.pool
		o.MaxRetries, o.DialerRetries, o.PoolSize = -1, 1, l.connections
		o.Dialer = l.dialer(o.TLSConfig, s.caFile)
		o.CredentialsProviderContext, o.OnConnect = s.credentials(o.Username), s.sentinelLogin()
		return redis.NewFailoverClient(&o)
	default:
		o := *s.single
		o.ContextTimeoutEnabled, o.DisableIdentity, o.MaintNotificationsConfig = true, true, quiet
		o.ReadTimeout, o.WriteTimeout, o.DialTimeout, o.PoolTimeout = l.answer, l.answer, l.dial, l.pool
		o.MaxRetries, o.DialerRetries, o.PoolSize = -1, 1, l.connections
		o.Dialer = l.dialer(o.TLSConfig, s.caFile)
		o.CredentialsProviderContext = s.credentials(o.Username)
		return redis.NewClient(&o)
	}
}
