package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"muster/storage/durable"
)

// Check implements durable.Backend.
func (r *Storage) Check(ctx context.Context) ([]string, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var (
		mu       sync.Mutex
		problems []string // guarded by mu
	)
	inspect := func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx).Result()
		if redis.IsPermissionError(err) {
			return nil // INFO is not among the permissions that Muster needs
		}
		if err != nil {
			return err
		}
		if _, ok := infoValue(info, "maxmemory_policy"); !ok {
			policy, _ := c.ConfigGet(ctx, "maxmemory-policy").Result() // CONFIG may be forbidden
			info += "\nmaxmemory_policy:" + policy["maxmemory-policy"]
		}
		mu.Lock()
		defer mu.Unlock()
		problems = append(problems, serverProblems(info, c != r.client)...)
		return nil
	}
	var err error
	if cluster, ok := r.client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, inspect)
	} else if single, ok := r.client.(*redis.Client); ok {
		err = inspect(ctx, single)
	}
	if err == nil {
		// Run a real command to find out whether the user has the permissions.
		if _, err = r.Position(ctx); connectionProblem(err) == "" {
			err = nil
		}
	}
	if err != nil {
		problem := connectionProblem(err)
		if problem == "" {
			return nil, r.fault(ctx, "check", err)
		}
		problems = append(problems, r.secrets.redact(problem))
	}
	if found := r.newerSchema.Load(); found != nil {
		problems = append(problems, fmt.Sprintf("Redis is also used by %s. "+
			"This process cannot read the groups that the other one writes, so replace this process.", &durable.SchemaError{Found: *found}))
	}
	slices.Sort(problems)
	return slices.Compact(problems), nil
}

// connectionProblem returns a sentence that says what an operator must change, so
// that Muster can use Redis. It returns "" for any other error, for example if
// Redis or the network is down.
func connectionProblem(err error) string {
	if err == nil {
		return ""
	}
	var (
		shards      *shardsError
		schema      *durable.SchemaError
		certificate *tls.CertificateVerificationError
		unusable    *fileError
	)
	server := "Redis"
	if strings.Contains(err.Error(), "all sentinels") {
		server = "Sentinel"
	}
	switch {
	case errors.As(err, &unusable):
		return "Muster cannot connect to " + server + ": " + unusable.Error() + ". It reads the file again for the next connection."
	case errors.As(err, &shards):
		return fmt.Sprintf("The groups in Redis are spread over %s shards, but --redis.shards is %d. "+
			"Set it to %[1]s, or choose another --redis.key-prefix to start without history.", shards.stored, shards.own)
	case errors.As(err, &schema):
		return fmt.Sprintf("The groups in Redis were written by %s. "+
			"Use that version, or choose another --redis.key-prefix to start without history.", schema)
	case redis.HasErrorPrefix(err, "NOAUTH"):
		return server + " requires a password, but no password is configured."
	case redis.IsAuthError(err), strings.Contains(err.Error(), "invalid username-password"),
		strings.Contains(err.Error(), "called without any password"):
		return server + " refuses the user or the password."
	case redis.IsPermissionError(err):
		return "The Redis user does not have a permission that Muster needs: " + rootCause(err).Error() + "."
	case errors.Is(err, redis.Nil):
		return "No Sentinel knows the master_name in --redis.url."
	case strings.Contains(err.Error(), "cluster support disabled"):
		return "Redis is not a cluster, but --redis.url names several servers with addr. Name one server, or the Sentinels with master_name."
	case strings.Contains(strings.ToLower(err.Error()), "unknown command 'auth'"):
		return "Redis does not know the command AUTH, so Muster cannot log in."
	case errors.As(err, &certificate):
		return "The certificate of Redis is not accepted: " + certificate.Err.Error() + "."
	case tlsAlert(err) != nil:
		return "Redis does not accept the TLS connection: " + tlsAlert(err).Error() + "."
	default:
		return ""
	}
}

// rootCause returns the innermost error, which is the error that Redis answered.
func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// serverProblems returns what is wrong with the setup of a server, one sentence
// each. info is the answer of the server to INFO.
func serverProblems(info string, inCluster bool) (problems []string) {
	value := func(name string) string { v, _ := infoValue(info, name); return v }
	server := "Redis"
	if port := value("tcp_port"); inCluster && port != "" {
		server = "The cluster node with port " + port
	}
	if v := value("redis_version"); olderThan62(v) {
		problems = append(problems, fmt.Sprintf("%s has version %s, but Muster needs at least 6.2: "+
			"it reads the history with ZRANGE BYLEX REV, which older versions do not have.", server, v))
	}
	if value("role") == "slave" {
		problems = append(problems, server+" is a replica and rejects writes. Name the primary or the Sentinels in --redis.url.")
	}
	if value("cluster_enabled") == "1" && !inCluster {
		problems = append(problems, "Redis is a node of a cluster: name a second one in the URL, with addr=host:port.")
	}
	switch policy := value("maxmemory_policy"); {
	case policy == "" || policy == "noeviction":
	case strings.HasPrefix(policy, "volatile-"):
		problems = append(problems, fmt.Sprintf("%s evicts resolved groups and their history when its memory is full: "+
			"its maxmemory-policy is %s, but must be noeviction.", server, policy))
	default:
		problems = append(problems, fmt.Sprintf("%s evicts any group when its memory is full: "+
			"its maxmemory-policy is %s, but must be noeviction.", server, policy))
	}
	return problems
}

// infoValue returns a value from the answer to INFO.
func infoValue(info, name string) (string, bool) {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

// olderThan62 reports whether a version is too old for Muster. It returns false
// for a version that it cannot parse, because other servers with the protocol of
// Redis have their own version numbers.
func olderThan62(version string) bool {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, err := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(second)
	if err != nil || err2 != nil {
		return false
	}
	return major < 6 || major == 6 && minor < 2
}
