package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/dustin/go-humanize"
)

// Bytes is a number of bytes for people to read, such as "1.2 GiB".
func Bytes(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// Percent is part of whole, such as "1.2%". It never says that nothing or everything is what isn't
// quite that.
func Percent(part, whole int64) string {
	if part <= 0 || whole <= 0 {
		return "0%"
	}
	percent := 100 * float64(part) / float64(whole)
	if percent < 0.1 {
		return "<0.1%"
	}
	return humanize.FtoaWithDigits(percent, 1) + "%" // which cuts off, and doesn't round
}

// Seconds is a duration such as "4.1 s" or "1h2m3s".
func Seconds(d time.Duration) string {
	if d = d.Round(100 * time.Millisecond); d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// ParseBytes reads a number of bytes as LVM's users write it: digits, then a unit or none: k, M, G,
// T, P, each 1024 of the one before, in either case, with "iB" or "B" behind it if somebody likes
// that.
func ParseBytes(text string) (int64, error) {
	digits := strings.TrimRightFunc(text, unicode.IsLetter)
	n, err := strconv.ParseInt(digits, 10, 64)
	unit := strings.TrimSuffix(strings.ToLower(text[len(digits):]), "b")
	power := slices.Index([]string{"", "k", "m", "g", "t", "p"}, strings.TrimSuffix(unit, "i"))
	if err != nil || n < 0 || power < 0 || n > math.MaxInt64>>(10*power) {
		return 0, fmt.Errorf("%q is not a number of bytes", text)
	}
	return n << (10 * power), nil
}

// OneLine makes a text fit for a terminal. What comes from a patch or the system may hold anything:
// control characters, or such as turn the text around.
func OneLine(text string) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// JSON is a value as one line of JSON. It is as fit for a terminal as OneLine's text, and says the
// same as any other JSON of the value.
func JSON(value any) ([]byte, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var b []byte
	for _, r := range string(plain) {
		if unicode.IsPrint(r) {
			b = append(b, string(r)...)
			continue
		}
		// within a string: there is nothing else of that kind
		for _, unit := range utf16.AppendRune(nil, r) {
			b = fmt.Appendf(b, `\u%04x`, unit)
		}
	}
	return b, nil
}
