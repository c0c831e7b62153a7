package cli

import (
	"encoding/json"
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

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "512": 512, "4096b": 4096, "4k": 4096, "4K": 4096, "64KiB": 65536, "1M": 1 << 20,
		"3gb": 3 << 30, "16T": 16 << 40,
		"7P": 7 << 50, "8191P": 8191 << 50,
		"": -1, "k": -1, "4x": -1, "-1": -1, "1.5M": -1, "4 k": -1, "4kk": -1, "4mk": -1,
		"8192P": -1, "9223372036854775808": -1,
	} {
		got, err := ParseBytes(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// Nothing that a terminal acts on gets through, and a program reads what was meant.
func TestHostileText(t *testing.T) {
	const hostile = "a\x1b[31m\x7f\u0085\u202e\U000e0001ü█\n\xff"
	if got, want := OneLine(hostile), "a?[31m????ü█; \uFFFD"; got != want {
		t.Errorf("line %q, want %q", got, want)
	}
	const want = `{"name":"a\u001b[31m\u007f\u0085\u202e\udb40\udc01ü█\n\ufffd"}`
	got, err := JSON(map[string]string{"name": hostile})
	if err != nil || string(got) != want {
		t.Errorf("JSON %s, want %s (%v)", got, want, err)
	}
	var back map[string]string
	if err := json.Unmarshal(got, &back); err != nil || back["name"] != string([]rune(hostile)) {
		t.Errorf("read back: %q (%v)", back, err)
	}
	if _, err := JSON(func() {}); err == nil {
		t.Error("no error for what JSON does not know")
	}
}
