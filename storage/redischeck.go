package storage

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
)

// Check implements Durable.
func (r *Redis) Check(ctx context.Context) ([]string, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var (
		mu    sync.Mutex
		found []string // guarded by mu
	)
	look := func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx).Result()
		if redis.IsPermissionError(err) {
			return nil // the user may do no more than Muster needs
		}
		if err != nil {
			return err
		}
		if _, ok := infoValue(info, "maxmemory_policy"); !ok {
			policy, _ := c.ConfigGet(ctx, "maxmemory-policy").Result() // it may be forbidden
			info += "\nmaxmemory_policy:" + policy["maxmemory-policy"]
		}
		mu.Lock()
		defer mu.Unlock()
		found = append(found, serverProblems(info, c != r.client)...)
		return nil
	}
	var err error
	if cluster, ok := r.client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, look)
	} else if single, ok := r.client.(*redis.Client); ok {
		err = look(ctx, single)
	}
	if err == nil {
		// What the user may do shows by what is done.
		if _, err = r.Position(ctx); refusal(err) == "" {
			err = nil
		}
	}
	if err != nil {
		problem := refusal(err)
		if problem == "" {
			return nil, r.fault(ctx, "check", err)
		}
		found = append(found, r.secrets.hide(problem))
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// refusal says in a sentence why nothing can be done with Redis, or "": it is
// down, or the network is.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	var (
		shards      *shardsError
		certificate *tls.CertificateVerificationError
		unusable    *fileError
	)
	who := "Redis"
	if strings.Contains(err.Error(), "all sentinels") {
		who = "Sentinel"
	}
	switch {
	case errors.As(err, &unusable):
		return "No connection to " + who + " can be made: " + unusable.Error() + ". Muster reads the file again for the next one."
	case errors.As(err, &shards):
		return "The groups in Redis are spread over " + shards.stored + " shards, and --redis.shards is " + strconv.Itoa(shards.own) + ": set it back, or choose another --redis.key-prefix to begin anew."
	case redis.HasErrorPrefix(err, "NOAUTH"):
		return who + " wants a password and was given none."
	case redis.IsAuthError(err), strings.Contains(err.Error(), "invalid username-password"), strings.Contains(err.Error(), "called without any password"):
		return who + " refuses the user or the password."
	case redis.IsPermissionError(err):
		return "Redis does not let the user do what Muster must: " + lastOf(err).Error() + "."
	case errors.Is(err, redis.Nil):
		return "No Sentinel knows a master of the URL's master_name."
	case strings.Contains(err.Error(), "cluster support disabled"):
		return "Redis is no cluster, but the URL names several servers by addr: name one, or the Sentinels with their master_name."
	case strings.Contains(strings.ToLower(err.Error()), "unknown command 'auth'"):
		return "Redis knows no command to log in with."
	case errors.As(err, &certificate):
		return "The certificate of Redis is not accepted: " + certificate.Err.Error() + "."
	case tlsAlert(err) != nil:
		return "Redis does not accept the TLS connection: " + tlsAlert(err).Error() + "."
	default:
		return ""
	}
}

// lastOf returns the innermost error: what Redis said.
func lastOf(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// serverProblems says what is wrong with a server, by its answer to INFO.
func serverProblems(info string, inCluster bool) (found []string) {
	value := func(name string) string { v, _ := infoValue(info, name); return v }
	who := "Redis"
	if port := value("tcp_port"); inCluster && port != "" {
		who = "The Redis of the cluster with port " + port
	}
	if v := value("redis_version"); olderThan62(v) {
		found = append(found, fmt.Sprintf("%s is version %s, and the oldest that works is 6.2: before it there is no ZRANGE with BYLEX and REV, by which the history is read.", who, v))
	}
	if value("role") == "slave" {
		found = append(found, who+" is a replica and cannot be written to: name the primary in the URL, or the Sentinels, which know it.")
	}
	if value("cluster_enabled") == "1" && !inCluster {
		found = append(found, "Redis is a node of a cluster: name a second one in the URL, with addr=host:port.")
	}
	switch policy := value("maxmemory_policy"); {
	case policy == "" || policy == "noeviction":
	case strings.HasPrefix(policy, "volatile-"):
		found = append(found, fmt.Sprintf("%s deletes resolved groups and their history when its memory is full: its maxmemory-policy is %s, and must be noeviction.", who, policy))
	default:
		found = append(found, fmt.Sprintf("%s deletes any group when its memory is full: its maxmemory-policy is %s, and must be noeviction.", who, policy))
	}
	return found
}

// infoValue returns a value of the answer to INFO.
func infoValue(info, name string) (string, bool) {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

// olderThan62 reports whether a version is one that Muster does not work with.
// What is not known is not held against the server: others that speak Redis'
// protocol count in their own way.
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
