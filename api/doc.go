// Package api answers with JSON: groups, alerts and history at /api/v1, and live
// updates as server-sent events.
package api
