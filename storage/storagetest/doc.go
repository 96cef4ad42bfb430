// Package storagetest tests the contract of a storage. The tests of each storage run
// it.
package storagetest
