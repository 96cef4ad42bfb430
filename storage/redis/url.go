package redis

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

// TLS are the settings for a URL that begins with rediss://. Without CAFile,
// the certificate authorities of the system are trusted.
type TLS struct {
	CAFile, CertFile, KeyFile string
	// ServerName is the name that the certificate must have. "": the host to
	// which the client connects.
	ServerName string
}

// servers are the servers in a URL: one Redis, the Sentinels that know it, or the
// nodes of a cluster. Exactly one of the three is set.
type servers struct {
	single   *redis.Options
	sentinel *redis.FailoverOptions
	cluster  *redis.ClusterOptions

	password, sentinelPassword passwordFile
	// caFile is the path of the certificates of the authorities. "": those of the
	// system.
	caFile  string
	secrets *secrets
}

// replicaOptions are the options in a URL that make the client read from replicas.
var replicaOptions = []string{"read_only", "route_by_latency", "route_randomly", "replica_only", "use_disconnected_replicas"}

// encodingHint explains the most common mistake in a URL.
const encodingHint = "in a password, each of / ? # % & @ must be percent-encoded"

// parseServers parses the URL as go-redis does. An error names the wrong flag and
// never contains a part of a password.
func parseServers(o Options) (s servers, err error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Fragment != "" {
		return s, errors.New("--redis.url: is not a URL; " + encodingHint)
	}
	query := u.Query()
	for _, name := range replicaOptions {
		if query.Has(name) {
			return s, fmt.Errorf("--redis.url: %s is not supported: a replica may be behind and rejects writes", name)
		}
	}
	switch {
	case u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		return s, errors.New("--redis.url: must begin with redis://, rediss:// or unix://")
	case query.Has("master_name"):
		s.sentinel, err = redis.ParseFailoverURL(o.URL)
	case query.Has("addr"):
		s.cluster, err = redis.ParseClusterURL(o.URL)
	default:
		s.single, err = redis.ParseURL(o.URL)
	}
	if err == nil {
		err = validatePorts(append(query["addr"], u.Host))
	}
	switch {
	case err != nil && strings.Contains(o.URL, "@"), err != nil && query.Has("password"):
		// If the password has a character that is not encoded, a part of the
		// password looks like a port, a path or an option. The error of the
		// client would contain this part.
		return s, errors.New("--redis.url: a port, a path or an option is not valid " +
			"(its value is not shown, because it may be a part of the password); " + encodingHint)
	case err != nil:
		return s, fmt.Errorf("--redis.url: %s", strings.TrimPrefix(err.Error(), "redis: "))
	case s.sentinel != nil && s.sentinel.MasterName == "":
		return s, errors.New("--redis.url: master_name is empty")
	case s.cluster != nil && strings.Trim(u.Path, "/0") != "":
		return s, errors.New("--redis.url: a cluster has only the database 0")
	case s.sentinel == nil && o.SentinelPasswordFile != "":
		return s, errors.New("--redis.sentinel-password-file: the URL names no Sentinels; add master_name to it")
	}
	if err := s.setPasswords(o); err != nil {
		return s, err
	}
	return s, s.setTLS(o.TLS)
}

// validatePorts rejects invalid ports. Otherwise they would fail only when the
// client connects.
func validatePorts(addresses []string) error {
	for _, address := range addresses {
		u := url.URL{Host: address}
		if _, err := strconv.ParseUint(cmp.Or(u.Port(), "0"), 10, 16); err != nil {
			return fmt.Errorf("%q has no valid port", address)
		}
	}
	return nil
}

// setPasswords sets the password files, and adds the passwords of the files and of
// the URL to the secrets.
func (s *servers) setPasswords(o Options) error {
	s.secrets = &secrets{}
	s.password = passwordFile{"redis.password-file", o.PasswordFile, s.secrets}
	s.sentinelPassword = passwordFile{"redis.sentinel-password-file", o.SentinelPasswordFile, s.secrets}
	for _, file := range []passwordFile{s.password, s.sentinelPassword} {
		if file.path == "" {
			continue
		}
		if _, err := file.readPassword(); err != nil {
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
			s.sentinel.SentinelPassword = "" // otherwise the client would try it
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

func (s *servers) setTLS(o TLS) error {
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
		// go-redis would use the host of the URL for all servers. If the name is
		// empty, the certificate of each server must have its own name.
		config.ServerName = ""
	}
	if o.ServerName != "" {
		config.ServerName = o.ServerName
	}
	s.caFile = o.CAFile
	if o.CAFile != "" {
		if _, err := readAuthorities(o.CAFile); err != nil {
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
	if _, err := readClientCertificate(o); err != nil {
		return err
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return readClientCertificate(o) }
	return nil
}

// Limits are the time limits of a client and its maximum number of connections.
type Limits struct {
	// Answer is the time for an answer to a question that finds out whether a
	// connection without traffic hangs. Dial is the time limit for a connection,
	// Pool the one of the wait for a free connection.
	Answer, Dial, Pool time.Duration
	Connections        int // to each server
}

func (l Limits) validate() error {
	if l.Answer <= 0 || l.Dial <= 0 || l.Pool <= 0 || l.Connections <= 0 {
		return fmt.Errorf("redis: only positive limits are allowed: answer %s, dial %s, pool %s, connections %d",
			l.Answer, l.Dial, l.Pool, l.Connections)
	}
	return nil
}

// connectionLimits are the limits of one of the clients. Its Answer is the time limit
// of a command.
type connectionLimits struct {
	Limits

	// watcher finds servers that hang. If it is nil, only the time limits find
	// them.
	watcher *watcher
}

// dialer returns the function with which a client connects.
func (l connectionLimits) dialer(config *tls.Config, caFile string) dialFunc {
	dial := plainDialer(l.Dial)
	if l.watcher != nil {
		dial = l.watcher.dialer(dial)
	}
	if config != nil {
		dial = tlsDialer(dial, config, caFile, l.Dial)
	}
	return dial
}

func plainDialer(timeout time.Duration) dialFunc {
	return (&net.Dialer{Timeout: timeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true}}).DialContext
}

// clusterReload is how often a client of a cluster reloads the list of masters.
// Apart from redirections, go-redis notices a failover only then.
const clusterReload = time.Second

// protocol is the version of the protocol of Redis. With version 3, the client looks for
// other messages of the server before each answer. Muster needs none of them.
const protocol = 2

// open returns a client, which does not connect yet. Outside a cluster, the client
// never sends a command twice, because the server may have applied the first one.
// In a cluster, it follows redirections: the first server has rejected the command.
// It also retries once if a connection broke. This is safe, because the scripts
// detect a write that they have applied already.
func (s *servers) open(l connectionLimits) redis.UniversalClient {
	noNotifications := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch {
	case s.cluster != nil:
		o := *s.cluster
		o.Addrs = slices.Clone(o.Addrs) // the client appends to them
		o.ContextTimeoutEnabled, o.DisableIdentity, o.MaintNotificationsConfig = true, true, noNotifications
		o.ReadTimeout, o.WriteTimeout, o.DialTimeout, o.PoolTimeout = l.Answer, l.Answer, l.Dial, l.Pool
		o.MaxRetries, o.DialerRetries, o.PoolSize = -1, 1, l.Connections
		o.Protocol = cmp.Or(o.Protocol, protocol)
		o.Dialer = l.dialer(o.TLSConfig, s.caFile)
		o.CredentialsProviderContext = s.credentials(o.Username)
		o.ClusterStateReloadInterval = clusterReload
		o.DisableRoutingPolicies = true // they need COMMAND, which an ACL may forbid
		return redis.NewClusterClient(&o)
	case s.sentinel != nil:
		o := *s.sentinel
		o.ContextTimeoutEnabled, o.DisableIdentity = true, true
		o.ReadTimeout, o.WriteTimeout, o.DialTimeout, o.PoolTimeout = l.Answer, l.Answer, l.Dial, l.Pool
		o.MaxRetries, o.DialerRetries, o.PoolSize = -1, 1, l.Connections
		o.Protocol = cmp.Or(o.Protocol, protocol)
		o.Dialer = l.dialer(o.TLSConfig, s.caFile)
		o.CredentialsProviderContext, o.OnConnect = s.credentials(o.Username), s.sentinelLogin()
		return redis.NewFailoverClient(&o)
	default:
		o := *s.single
		o.ContextTimeoutEnabled, o.DisableIdentity, o.MaintNotificationsConfig = true, true, noNotifications
		o.ReadTimeout, o.WriteTimeout, o.DialTimeout, o.PoolTimeout = l.Answer, l.Answer, l.Dial, l.Pool
		o.MaxRetries, o.DialerRetries, o.PoolSize = -1, 1, l.Connections
		o.Protocol = cmp.Or(o.Protocol, protocol)
		o.Dialer = l.dialer(o.TLSConfig, s.caFile)
		o.CredentialsProviderContext = s.credentials(o.Username)
		return redis.NewClient(&o)
	}
}
