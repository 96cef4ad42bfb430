// Package limit limits what clients use, and remembers what was rejected. It limits
// how many requests, or how many of their bytes, are in use at the same time.
//
// A [Limit] is a maximum with a name. A request takes a [Hold] and releases it at
// its end:
//
//	hold, ok := readers.Take(1)
//	if !ok {
//		// answer 503
//	}
//	defer hold.Release()
//
// Take never waits. If the limit is reached, the request is rejected and the client
// retries.
//
// The [Registry] has all limits of the process with their metrics. It also counts and
// lists the rejected notifications.
package limit
