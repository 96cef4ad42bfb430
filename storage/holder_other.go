//go:build !linux

package storage

func holder(string) string { return "another process" }
