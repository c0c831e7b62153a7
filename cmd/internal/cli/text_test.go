package cli

import (
	"testing"
	"time"
)

func TestText(t *testing.T) {
	tests := []struct{ got, want string }{
		{Bytes(-1), "0 B"},
		{Bytes(0), "0 B"},
		{Bytes(1023), "1023 B"},
		{Bytes(4096), "4.0 KiB"},
		{Bytes(1288490189), "1.2 GiB"},
		{Bytes(1<<63 - 1), "8.0 EiB"},
		{Percent(0, 100), "0%"},
		{Percent(0, 0), "0%"},
		{Percent(1, 1<<40), "<0.1%"},
		{Percent(12, 1000), "1.2%"},
		{Percent(5, 100), "5%"},
		{Percent(9999, 10000), "99.9%"},
		{Percent(1<<62, 1<<62), "100%"},
		{Seconds(0), "0.0 s"},
		{Seconds(4100 * time.Millisecond), "4.1 s"},
		{Seconds(59940 * time.Millisecond), "59.9 s"},
		{Seconds(59960 * time.Millisecond), "1m0s"},
		{Seconds(3723 * time.Second), "1h2m3s"},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}
