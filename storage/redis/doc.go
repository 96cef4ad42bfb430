// Package redis keeps groups and history in Redis: a single server, Sentinels or a
// cluster.
package redis
