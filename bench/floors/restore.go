package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	bolt "go.etcd.io/bbolt"
)

// batch is the number of groups that are read in one pipeline.
const batch = 500

// readRedis reads all groups of Muster and prints how many nanoseconds it took.
func readRedis(address string) error {
	ctx, client := context.Background(), connect(address)
	started := time.Now()
	ids, err := client.HKeys(ctx, "muster:{0}:index").Result()
	if err != nil {
		return err
	}
	records := 0
	for len(ids) > 0 {
		n := min(batch, len(ids))
		answers, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, id := range ids[:n] {
				p.HGetAll(ctx, "muster:{0}:g:"+id)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, a := range answers {
			if all, ok := a.(*redis.MapStringStringCmd); ok {
				records += len(all.Val())
			}
		}
		ids = ids[n:]
	}
	fmt.Println(time.Since(started).Nanoseconds(), records)
	return client.Close()
}

// readFile copies all groups out of the file, and prints how many nanoseconds it took.
func readFile(path string) error {
	started := time.Now()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	records := 0
	err = db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			if bytes.HasPrefix(name, []byte("history")) || bytes.HasPrefix(name, []byte("timeline")) {
				return nil
			}
			n, err := readBucket(b)
			records += n
			return err
		})
	})
	fmt.Println(time.Since(started).Nanoseconds(), records)
	if err != nil {
		return err
	}
	return db.Close()
}

// readBucket copies a bucket and the buckets in it, and returns the number of records.
func readBucket(b *bolt.Bucket) (int, error) {
	records, inside := map[string]string{}, 0
	err := b.ForEach(func(name, value []byte) error {
		if value == nil {
			n, err := readBucket(b.Bucket(name))
			inside += n
			return err
		}
		records[string(name)] = string(value)
		return nil
	})
	return len(records) + inside, err
}
