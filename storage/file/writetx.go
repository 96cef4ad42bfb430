package file

import "go.etcd.io/bbolt"

// writeTx is a transaction of bbolt whose changes are noted for the log.
type writeTx struct {
	*bbolt.Tx

	log     *writeLog
	buckets map[string]*bucket
	// history and changed are nil until they are used.
	history, changed *eventBuckets
}

func newWriteTx(tx *bbolt.Tx, log *writeLog) *writeTx {
	return &writeTx{Tx: tx, log: log, buckets: map[string]*bucket{}}
}

// Bucket returns a bucket of the transaction.
func (tx *writeTx) Bucket(name []byte) *bucket {
	b := tx.buckets[string(name)]
	if b == nil {
		b = &bucket{Bucket: tx.Tx.Bucket(name), name: string(name), log: tx.log}
		tx.buckets[b.name] = b
	}
	return b
}

// bucket is a bucket whose changes are noted for the log. Its cursors must only read.
type bucket struct {
	*bbolt.Bucket

	name string
	log  *writeLog
}

// Put sets the value of a key.
func (b *bucket) Put(key, value []byte) error { return put(b, key, value) }

// put sets the value of a key. It keeps neither of them.
func put[K, V text](b *bucket, key K, value V) error {
	k, v := note(b.log, b.name, key, value, false)
	return b.Bucket.Put(k, v)
}

// Delete removes a key.
func (b *bucket) Delete(key []byte) error {
	k, _ := note(b.log, b.name, key, "", true)
	return b.Bucket.Delete(k)
}
