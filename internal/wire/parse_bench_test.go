package wire_test

import (
	"testing"

	"muster/internal/wire"
	"muster/internal/wire/wiretest"
)

func BenchmarkParse(b *testing.B) {
	body := []byte(wiretest.Many(100))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := wire.Parse(body, 1000); !ok {
			b.Fatal("not parsed")
		}
	}
}
