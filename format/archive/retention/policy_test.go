package retention

import (
	"strings"
	"testing"
	"time"
)

func at(t testing.TB, text string) time.Time {
	t.Helper()
	when, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestKeep(t *testing.T) {
	const week = "2026-05-08 12:00,2026-05-08 11:00,2026-05-07 23:00,2026-05-06 12:00," +
		"2026-05-04 12:00,2026-05-03 12:00,2026-04-30 12:00,2025-12-31 12:00"
	for name, tt := range map[string]struct {
		times  string
		zone   int // hours east
		policy Policy
		want   string // why, for each of times
	}{
		"nothing":       {"", 0, Policy{Last: 1}, ""},
		"no rule":       {week, 0, Policy{}, "newest,,,,,,,"},
		"last":          {week, 0, Policy{Last: 2}, "newest+last,last,,,,,,"},
		"more than all": {"2026-05-08 12:00", 0, Policy{Last: 9}, "newest+last"},
		"unlimited": {"2026-05-08 12:00,2026-05-08 11:59", 0, Policy{Last: -1},
			"newest+last,last"},
		"hourly":      {week, 0, Policy{Hourly: 3}, "newest+hourly,hourly,hourly,,,,,"},
		"daily":       {week, 0, Policy{Daily: 3}, "newest+daily,,daily,daily,,,,"},
		"daily, east": {week, 2, Policy{Daily: 3}, "newest+daily,,,daily,daily,,,"},
		"weekly":      {week, 0, Policy{Weekly: 2}, "newest+weekly,,,,,weekly,,"},
		"weekly to 2026": {"2026-01-02 00:00,2025-12-30 00:00", 0, Policy{Weekly: 1},
			"newest+weekly,"},
		"monthly": {week, 0, Policy{Monthly: 2}, "newest+monthly,,,,,,monthly,"},
		"yearly":  {week, 0, Policy{Yearly: 5}, "newest+yearly,,,,,,,yearly"},
		"the oldest while some are left": {
			"2026-05-08 12:00,2026-05-08 11:00,2026-05-08 10:00", 0,
			Policy{Daily: 2}, "newest+daily,,oldest daily"},
		"within": {week, 0, Policy{Within: Span{Days: 2}},
			"newest+within 2d,within 2d,within 2d,,,,,"},
		"within months and hours": {week, 0, Policy{Within: Span{Months: 1, Hours: 1}},
			"newest+within 1m1h" + strings.Repeat(",within 1m1h", 6) + ","},
		"in any order": {"2026-05-06 12:00,2026-05-08 12:00,2026-05-07 12:00", 0, Policy{Last: 2},
			",newest+last,last"},
		"equal times": {"2026-05-08 12:00,2026-05-08 12:00", 0, Policy{Daily: 1},
			"newest+daily,newest"},
		"rules together": {week, 0, Policy{Last: 1, Daily: 2, Monthly: 2},
			"newest+last+daily+monthly,,daily,,,,monthly,"},
	} {
		t.Run(name, func(t *testing.T) {
			var times []time.Time
			for text := range strings.SplitSeq(tt.times, ",") {
				if text == "" {
					continue
				}
				times = append(times, at(t, text))
			}
			zone := time.FixedZone("", tt.zone*3600)
			var got []string
			for _, why := range tt.policy.Keep(times, zone) {
				got = append(got, strings.Join(why, "+"))
			}
			if got := strings.Join(got, ","); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]Span{
		"30d": {Days: 30}, "2y5m7d3h": {2, 5, 7, 3}, "3h1y": {Years: 1, Hours: 3},
	} {
		if got, err := ParseSpan(text); err != nil || got != want {
			t.Errorf("%s: %v (%v)", text, got, err)
		}
	}
	for _, text := range []string{"", "30", "d", "-3d", "1d2d", "0d", "1w", "3d ", "1000001h",
		"99999999999999999999d", "3é"} {
		if got, err := ParseSpan(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzParseSpan(f *testing.F) {
	f.Add("2y5m7d3h")
	f.Add("30d")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSpan(text)
		if err != nil {
			return
		}
		if again, err := ParseSpan(s.String()); err != nil || again != s {
			t.Errorf("%q: %v, then %v (%v)", text, s, again, err)
		}
	})
}
