package vectortest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"lvmsync/format/internal/strictjson"
)

// A plainReader reads JSON by another library, one token after another, and checks what
// that doesn't: names that are there twice, and nesting.
type plainReader struct {
	dec   *json.Decoder
	depth int
}

func (p *plainReader) value() error {
	token, err := p.dec.Token()
	if err != nil {
		return err
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if p.depth++; p.depth > strictjson.MaxNesting {
		return errors.New("too deep")
	}
	names := make(map[string]bool)
	for p.dec.More() {
		if open == '{' {
			name, err := p.dec.Token()
			if err != nil {
				return err
			}
			if names[name.(string)] {
				return errors.New("twice")
			}
			names[name.(string)] = true
		}
		if err := p.value(); err != nil {
			return err
		}
	}
	p.depth--
	_, err = p.dec.Token()
	return err
}

// PlainObject tells whether a text is an object that is right as far as names and nesting go.
func PlainObject(text []byte) error {
	if !utf8.Valid(text) || !json.Valid(text) || bytes.TrimLeft(text, " \t\r\n")[0] != '{' {
		return errors.New("no object")
	}
	p := plainReader{dec: json.NewDecoder(bytes.NewReader(text))}
	p.dec.UseNumber()
	if err := p.value(); err != nil {
		return err
	}
	if _, err := p.dec.Token(); err != io.EOF {
		return errors.New("more than one value")
	}
	return nil
}
