// Package strictjson reads the JSON texts of patches and signatures: one way only, whatever
// the many readers of JSON make of what is wrong.
package strictjson

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// MaxNesting is how deep objects and arrays of a JSON text may stand in one another, the
// outermost counted.
const MaxNesting = 64

// Decode reads a JSON text into v, a pointer to a struct, and takes nothing but what
// docs/format.md, "JSON text", says: names are exact and none is there twice, also among
// those that aren't known. Errors say which name is wrong and how, in words of the format.
func Decode(text []byte, v any) error { return DecodeForms(text, v, exactly) }

// Forms adds forms of other values, as [Text] makes them. Made once they serve many texts.
func Forms(more ...*json.Unmarshalers) *json.Unmarshalers {
	return json.JoinUnmarshalers(append(more, exactly)...)
}

// DecodeForms does what Decode does, with the forms that [Forms] has made.
func DecodeForms(text []byte, v any, forms *json.Unmarshalers) error {
	flat := isFlat(text)
	if !flat {
		if err := checkNesting(text); err != nil {
			return inWords(err)
		}
	}
	err := json.Unmarshal(text, v, json.WithUnmarshalers(forms))
	if err != nil && flat { // of several errors always the same one is told
		err = cmp.Or(checkNesting(text), err)
	}
	return inWords(err)
}

// isFlat tells whether a text begins an object and can't be too deep, without reading it twice.
func isFlat(text []byte) bool {
	return bytes.HasPrefix(text, []byte("{")) &&
		bytes.Count(text, []byte("{"))+bytes.Count(text, []byte("[")) <= MaxNesting
}

// DecodeInner reads a value within a text that is being decoded. Its errors are put into words
// by [Decode].
func DecodeInner(text []byte, v any) error {
	return json.Unmarshal(text, v, json.WithUnmarshalers(exactly))
}

// checkNesting reads an object, to its end, and checks how deep it is.
func checkNesting(text []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(text))
	if kind := dec.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		return errors.New("not an object")
	}
	for {
		if _, err := dec.ReadToken(); err != nil {
			return err
		}
		switch dec.StackDepth() {
		case 0:
			return nil
		case MaxNesting + 1:
			return fmt.Errorf("more than %d objects and arrays in one another at byte %d",
				MaxNesting, dec.InputOffset())
		}
	}
}

// exactly are the forms in which values are taken. What is null counts as missing, and
// so does a string without characters.
var exactly = json.JoinUnmarshalers(
	json.UnmarshalFromFunc(readInt),
	json.UnmarshalFromFunc(readStrings),
	Text(parseUUID),
	Text(parseTime),
)

// A ValueError says what a value isn't.
type ValueError string

// Error says so.
func (e ValueError) Error() string { return string(e) }

func readInt(dec *jsontext.Decoder, n *int64) error {
	value, err := dec.ReadValue()
	switch {
	case err != nil:
		return err
	case value.Kind() == 'n':
		*n = 0
		return nil
	case value.Kind() != '0':
		return notA("an integer", value.Kind())
	case strings.Trim(string(value), "0123456789") != "":
		return ValueError(fmt.Sprintf("%.30q is not an integer of digits alone", value))
	}
	if *n, err = strconv.ParseInt(string(value), 10, 64); err != nil {
		return ValueError(fmt.Sprintf("%.30s exceeds 2^63-1", value))
	}
	return nil
}

// readStrings reads an array of strings. Those that have no escapes are parts of one text: there may
// be hundreds.
func readStrings(dec *jsontext.Decoder, list *[]string) error {
	*list = nil
	if kind := dec.PeekKind(); kind != '[' {
		token, err := dec.ReadToken()
		if err != nil || token.Kind() == 'n' {
			return err
		}
		return notA("an array", token.Kind())
	}
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	text := string(value)
	// Commas would not do: there may be any number of them in one string.
	all := make([]string, 0, strings.Count(text, `"`)/2)
	for rest := skipSpace(text[1:]); rest[0] != ']'; {
		if rest[0] != '"' {
			return notA("a string", jsontext.Value(rest[:1]).Kind())
		}
		n := stringLen(rest)
		one := rest[1 : n-1]
		if strings.IndexByte(one, '\\') >= 0 {
			b, err := jsontext.AppendUnquote(nil, rest[:n])
			if err != nil {
				return err
			}
			one = string(b)
		}
		all = append(all, one)
		rest = skipSpace(strings.TrimPrefix(skipSpace(rest[n:]), ","))
	}
	*list = all
	return nil
}

func skipSpace(text string) string {
	if text != "" && text[0] > ' ' { // as almost always
		return text
	}
	return strings.TrimLeft(text, " \t\r\n")
}

// stringLen is the length of the string, with its quotes, that a right text begins with.
func stringLen(text string) int {
	n := 1 + strings.IndexByte(text[1:], '"')
	if strings.IndexByte(text[1:n], '\\') < 0 {
		return n + 1
	}
	for n = 1; text[n] != '"'; n++ {
		if text[n] == '\\' {
			n++
		}
	}
	return n + 1
}

// Text makes a reader of strings that have a form. Without characters it is that of the zero
// value.
func Text[T any](parse func(string) (T, error)) *json.Unmarshalers {
	return json.UnmarshalFromFunc(func(dec *jsontext.Decoder, v *T) error {
		token, err := dec.ReadToken()
		if err != nil {
			return err
		}
		text := ""
		switch token.Kind() {
		case 'n':
		case '"':
			text = token.String()
		default:
			return notA("a string", token.Kind())
		}
		if text == "" {
			*v = *new(T)
			return nil
		}
		*v, err = parse(text)
		return err
	})
}

var timeForm = regexp.MustCompile(
	`^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?` +
		`(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)

func parseUUID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 { // others are other forms
		return uuid.Nil, ValueError(fmt.Sprintf("%.60q is not a UUID of 36 characters", text))
	}
	return id, nil
}

func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !timeForm.MatchString(text) {
		return time.Time{}, ValueError(
			fmt.Sprintf("%.60q is not a time of RFC 3339, as 2026-01-02T03:04:05Z is", text))
	}
	if t.IsZero() {
		t = time.Time{} // wherever it was
	}
	return t, nil
}

func notA(what string, kind jsontext.Kind) error {
	return ValueError(fmt.Sprintf("%s in place of %s", kindNames[kind], what))
}

var kindNames = map[jsontext.Kind]string{
	'n': "null", 't': "true", 'f': "false",
	'"': "a string", '0': "a number", '{': "an object", '[': "an array",
}

// inWords turns an error of the library into one in words of the format. It is no
// io.EOF: the text is there, whatever is missing in it.
func inWords(err error) error {
	var syntax *jsontext.SyntacticError
	var value *json.SemanticError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax) && errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Errorf("JSON: the name %s is there twice", shownPointer(syntax.JSONPointer))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("JSON: the text ends before it is complete")
	case errors.As(err, &syntax):
		return fmt.Errorf("JSON: syntax error at byte %d of the text", syntax.ByteOffset)
	case errors.As(err, &value):
		at := value.JSONPointer
		var inner *json.SemanticError // of DecodeInner
		for errors.As(value.Err, &inner) {
			value = inner
			at += value.JSONPointer
		}
		return fmt.Errorf("JSON: %s: %s", shownPointer(at), wrongValue(value))
	}
	return fmt.Errorf("JSON: %w", err)
}

// wrongValue says what is wrong with a value.
func wrongValue(err *json.SemanticError) string {
	var own ValueError
	if errors.As(err.Err, &own) {
		return own.Error()
	}
	what := "a string"
	if err.GoType != nil {
		switch err.GoType.Kind() {
		case reflect.Bool:
			what = "true or false"
		case reflect.Slice:
			what = "an array"
		case reflect.Struct, reflect.Pointer, reflect.Map:
			what = "an object"
		}
	}
	return notA(what, err.JSONKind).Error()
}

// shownPointer names a value by the names and numbers that lead to it.
func shownPointer(p jsontext.Pointer) string {
	var names []string
	for name := range p.Tokens() {
		names = append(names, name)
	}
	return fmt.Sprintf("%.100q", strings.Join(names, "."))
}
