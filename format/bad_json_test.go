package format

import (
	"strings"
	"testing"

	"lvmsync/format/internal/strictjson"
)

// member puts another name into the header, in front of volume_size.
func member(text string) func(*rawPatch) { return jsonText(`"volume`, text+`,"volume`) }

// nested is a text of n arrays in one another.
func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// jsonVectors break what is demanded of the header's JSON text.
var jsonVectors = []vector{
	{name: "json-twice", expect: "corrupt header", why: "base is there twice",
		edit: member(`"base":{"hash_seed":"0000000000000005"},"base":{"exact":true},` +
			`"required_features":["base-hash-seed"]`)},
	{name: "json-twice-escaped", expect: "corrupt header",
		why:  `kind is there twice, once as \\u006bind`,
		edit: member(`"\u006bind":"delta"`)},
	{name: "json-twice-unknown", expect: "corrupt header",
		why:  "an unknown name is there twice, within an unknown object",
		edit: member(`"sky":[{"colour":"blue","height":7,"colour":"blue"}]`)},
	{name: "json-bom", expect: "corrupt header", why: "a byte order mark before the object",
		edit: jsonText("{", "\ufeff{")},
	{name: "json-nul", expect: "corrupt header", why: "a byte of 0 behind the object",
		edit: jsonText("4096}", "4096}\x00")},
	{name: "json-second-value", expect: "corrupt header", why: "a second object behind the first",
		edit: jsonText("4096}", "4096} {}")},
	{name: "json-comma", expect: "corrupt header", why: "a comma before the closing brace",
		edit: jsonText("4096}", "4096,}")},
	{name: "json-surrogate", expect: "corrupt header", why: "half a surrogate pair in a string",
		edit: member(`"host":"\ud800"`)},
	{name: "json-control", expect: "corrupt header", why: "a line break within a string",
		edit: member("\"host\":\"a\nb\"")},
	{name: "json-nesting", expect: "corrupt header",
		why:  "65 objects and arrays in one another, under an unknown name",
		edit: member(`"deep":` + nested(strictjson.MaxNesting))},
	{name: "json-null", expect: "corrupt header", why: "JSON text is null",
		edit: func(p *rawPatch) { p.json = "null" }},
	{name: "id-upper-name", expect: "corrupt header", why: "no id, for ID is another name",
		edit: jsonText(`"id"`, `"ID"`)},
	{name: "id-null", expect: "corrupt header", why: "id is null",
		edit: jsonText(`"0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a"`, "null")},
	{name: "id-empty", expect: "corrupt header", why: "id has no characters",
		edit: jsonText("0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a", "")},
	{name: "id-zeros", expect: "corrupt header", why: "id is all zeros",
		edit: jsonText("0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a",
			"00000000-0000-0000-0000-000000000000")},
	{name: "id-braces", expect: "corrupt header", why: "id is a UUID in braces",
		edit: jsonText("0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a",
			"{0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a}")},
	{name: "id-urn", expect: "corrupt header", why: "id is the URN of a UUID",
		edit: jsonText(`"0b54`, `"urn:uuid:0b54`)},
	{name: "id-32-digits", expect: "corrupt header", why: "id is a UUID without dashes",
		edit: jsonText("0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a", "0b54d3c25a8e4f5e9d3c1f2e3d4c5b6a")},
	{name: "base-patch", expect: "corrupt header", why: "base.patch is not a UUID",
		edit: member(`"base":{"patch":"yesterday's"}`)},
	{name: "created-comma", expect: "corrupt header",
		why: "created has a comma before the fraction", edit: jsonText("05Z", "05,5Z")},
	{name: "created-lower-case", expect: "corrupt header", why: "created has a lower-case t and z",
		edit: jsonText("02T03:04:05Z", "02t03:04:05z")},
	{name: "created-no-zone", expect: "corrupt header", why: "created has no offset from UTC",
		edit: jsonText("05Z", "05")},
	{name: "created-leap-second", expect: "corrupt header", why: "created has a second 60",
		edit: jsonText("05Z", "60Z")},
	{name: "created-february", expect: "corrupt header", why: "created is on the 30th of February",
		edit: jsonText("01-02T", "02-30T")},
	{name: "created-long", expect: "corrupt header", why: "created has 60000 characters",
		edit: jsonText("2026-01-02T03:04:05Z", strings.Repeat("x", 60000))},
	{name: "created-number", expect: "corrupt header", why: "created is a number",
		edit: jsonText(`"2026-01-02T03:04:05Z"`, "1767323045")},
	{name: "integer-fraction", expect: "corrupt header", why: "granularity is 4096.0",
		edit: jsonText("4096", "4096.0")},
	{name: "integer-exponent", expect: "corrupt header", why: "volume_size is 65536e0",
		edit: jsonText("65536", "65536e0")},
	{name: "integer-minus-zero", expect: "corrupt header", why: "start is -0",
		edit: member(`"start":-0`)},
	{name: "integer-negative", expect: "corrupt header", why: "start is -512",
		edit: member(`"start":-512`)},
	{name: "integer-leading-zero", expect: "corrupt header", why: "granularity is 04096",
		edit: jsonText("4096", "04096")},
	{name: "exact-string", expect: "corrupt header", why: "base.exact is a string",
		edit: member(`"base":{"exact":"true"}`)},
	{name: "base-array", expect: "corrupt header", why: "base is an array",
		edit: member(`"base":[]`)},
	{name: "features-null", expect: "corrupt header", why: "null among the required features",
		edit: member(`"required_features":["lost-sectors",null]`)},
	{name: "features-string", expect: "corrupt header", why: "required_features is a string",
		edit: member(`"required_features":"lost-sectors"`)},
	{name: "sample-without-hash", expect: "corrupt header", why: "a sample without hash",
		edit: member(`"base":{"fingerprint":[{"offset":8192}]}`)},
	{name: "sample-without-offset", expect: "corrupt header", why: "a sample without offset",
		edit: member(`"base":{"fingerprint":[{"hash":"0123456789abcdef"}]}`)},
	{name: "sample-null", expect: "corrupt header", why: "null among the samples",
		edit: member(`"base":{"fingerprint":[null]}`)},
}

// goldenJSON make headers that are unusual and right.
var goldenJSON = map[string]func(*rawPatch){
	"header-other-case": member(`"KIND":"full","Base":{"exact":true},"volume_ſize":1024,"":7`),
	"header-nothing": member(
		`"base":{"exact":null,"patch":"","hash_seed":"","fingerprint":null},"state":null,` +
			`"host":null,"start":null,"required_features":[]`),
	"header-nothing-full":   jsonText(`"delta"`, `"full","base":{"exact":false,"fingerprint":[]}`),
	"header-nesting":        member(`"deep":` + nested(strictjson.MaxNesting-1)),
	"header-planned-empty":  member(`"planned":{}`),
	"header-planned-number": member(`"planned":{"extents":4}`),
	"header-forms": jsonText(`05Z"`,
		`05.123456789-23:59","base":{"patch":"0B54D3C2-5A8E-4F5E-9D3C-1F2E3D4C5B6A",`+
			`"fingerprint":[{"offset":8192,"hash":"0123456789ABCDEF"}]},`+
			`"host":"\ud83d\ude00\u0000\/"`),
}

func init() {
	for name, edit := range goldenJSON {
		goldenPatches[name] = func(t testing.TB) []byte {
			p := deltaPatch()
			if strings.HasSuffix(name, "-full") {
				p.segments = []*rawSegment{newRaw(Extent{0, 512, Data}, Extent{512, 65024, Zero})}
			}
			edit(p)
			return p.bytes(t)
		}
	}
}
