package format

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// Every text of a header can be put into a message, those that are added later too; the
// header itself stays as it is.
func TestShown(t *testing.T) {
	hostile := "/dev/\x1b]0;title\a\x9b2J\u202e" + strings.Repeat("long\n", 10_000)
	h := Header{Base: new(Base), State: new(State)}
	texts := 0
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		switch {
		case v.Kind() == reflect.String:
			v.SetString(hostile)
			texts++
		case v.Kind() == reflect.Pointer && !v.IsNil():
			fill(v.Elem())
		case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
			for _, f := range v.Fields() {
				fill(f)
			}
		}
	}
	fill(reflect.ValueOf(&h))
	shown := h.Shown()
	left := 0
	var check func(name string, v reflect.Value)
	check = func(name string, v reflect.Value) {
		switch {
		case v.Kind() == reflect.String:
			left++
			text := v.String()
			if utf8.RuneCountInString(text) > maxShown+4 ||
				!strings.HasPrefix(text, "/dev/?]0;title?") ||
				strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%s is shown as %.300q", name, text)
			}
		case v.Kind() == reflect.Pointer && !v.IsNil():
			check(name, v.Elem())
		case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
			for f, v := range v.Fields() {
				check(name+"."+f.Name, v)
			}
		}
	}
	check("header", reflect.ValueOf(shown))
	if texts < 16 || left != texts || h.Base.Snapshot != hostile || h.Source.Path != hostile {
		t.Errorf("%d texts, %d of them shown, or the header was changed", texts, left)
	}
	if got := Shown("ünïx: /dev/vg/lv"); got != "ünïx: /dev/vg/lv" {
		t.Errorf("an ordinary text is shown as %q", got)
	}
}
