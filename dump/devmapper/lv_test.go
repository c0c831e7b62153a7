package devmapper

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format/storage/kernel"
)

const (
	vgUUID       = "KZSzrx-D1CR-D4ID-MwG9-WkUC-nj2n-ZrP1CB"
	reverted     = "3piAHa-ldd2-7Ox2-yvEP-nEol-j6rE-6KeKY9"
	revertedSnap = "dIkMad-qMIU-E3Ml-fTNy-PAUO-Pawd-1oZU1h"
)

func TestParseLV(t *testing.T) {
	merge := LogicalVolume{VG: "my-vg", Name: "mrg", VGUUID: vgUUID, UUID: revertedSnap,
		Attr: "Swi-a-s---", Origin: "reverted", OriginUUID: reverted, Merging: true,
		Active: true, SegType: "linear", Size: 61685760, OriginSize: 61440000, ChunkSize: 4096,
		Created: time.Unix(1795666004, 0).UTC()}
	originCreated := time.Unix(1795666003, 0).UTC()
	delayed, running := merge, merge
	delayed.Num = kernel.DevNum{Major: 253, Minor: 18}
	running.Num = kernel.DevNum{Major: 253, Minor: 17} // the origin's
	for name, want := range map[string]LogicalVolume{
		"delayed-merge": delayed,
		"merging":       running,
		"delayed-merge-origin": {VG: "my-vg", Name: "reverted", VGUUID: vgUUID, UUID: reverted,
			Attr: "Owi-aos---", Merging: true, Active: true,
			Num: kernel.DevNum{Major: 253, Minor: 15}, SegType: "linear", Size: 61440000,
			OriginSize: 61440000, Created: originCreated},
		"merging-origin": {VG: "my-vg", Name: "reverted", VGUUID: vgUUID, UUID: reverted,
			Attr: "Owi-a-s---", Merging: true, Active: true,
			Num: kernel.DevNum{Major: 253, Minor: 17}, SegType: "linear", Size: 61440000,
			OriginSize: 61440000, Created: originCreated},
	} {
		t.Run(name, func(t *testing.T) { checkLV(t, name, want) })
	}
}

// What is left out of want is not compared: the identifiers, which say nothing, and the numbers.
func TestParseLVKinds(t *testing.T) {
	for name, want := range map[string]LogicalVolume{
		"origin": {Name: "or-ig", Attr: "owi-a-s---", Active: true, SegType: "linear",
			Size: 6148096, OriginSize: 6148096},
		"snapshot": {Name: "s-1", Attr: "swi-a-s---", Active: true, SegType: "linear",
			Origin: "or-ig", Size: 3686400, OriginSize: 6148096, ChunkSize: 65536},
		"read-only": {Name: "ro", Attr: "sri-a-s---", Active: true, SegType: "linear",
			Origin: "or-ig", Size: 3686400, OriginSize: 6148096, ChunkSize: 4096},
		"striped": {Name: "str.ip+ed", Attr: "owi-a-s---", Active: true, SegType: "striped",
			Size: 12288000, OriginSize: 12288000},
		"odd-name": {Name: "st.snap+x_1", Attr: "swi-a-s---", Active: true, SegType: "linear",
			Origin: "str.ip+ed", Size: 1228800, OriginSize: 12288000, ChunkSize: 8192},
		"invalid": {Name: "tiny", Attr: "swi-I-s---", Active: true, SegType: "linear",
			Origin: "overflowed", SnapshotInvalid: true, Size: 81920,
			OriginSize: 6148096, ChunkSize: 4096},
		"segments": {Name: "two", Attr: "-wi-a-----", Active: true,
			SegType: "linear", Size: 614400},
		"inactive": {Name: "idle", Attr: "owi---s---", SegType: "linear", Size: 409600,
			OriginSize: 409600},
		"inactive-snapshot": {Name: "idle-snap", Attr: "swi---s---", SegType: "linear",
			Origin: "idle", Size: 204800, OriginSize: 409600, ChunkSize: 4096},
		"inactive-by-mapper-name": {Name: "idle-snap", Attr: "swi---s---", SegType: "linear",
			Origin: "idle", Size: 204800, OriginSize: 409600, ChunkSize: 4096},
		"pool": {Name: "po-ol", Attr: "twi-aotz--", Active: true, SegType: "thin-pool",
			Size: 8388608, ChunkSize: 65536},
		"thin": {Name: "t-o", Attr: "Vwi-a-tz--", Active: true, SegType: "thin",
			Size: 10551296, Pool: "po-ol"},
		"thin-snapshot": {Name: "t-s", Attr: "Vwi---tz-k", SegType: "thin", Origin: "t-o",
			Size: 10551296, Pool: "po-ol"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseLV([]byte(captured(t, name+".json")))
			if err != nil {
				t.Fatal(err)
			}
			if got.Active != (got.Num.Major == 253) || got.VGUUID != vgUUID ||
				len(got.UUID) != 38 || (got.Origin != "") != (got.OriginUUID != "") {
				t.Errorf("number or identifiers: %+v", got)
			}
			if got.Created.Year() != 2026 {
				t.Errorf("created %v", got.Created)
			}
			want.VG, want.VGUUID, want.UUID, want.OriginUUID, want.Num, want.Created =
				"my-vg", got.VGUUID, got.UUID, got.OriginUUID, got.Num, got.Created
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("volume (-want +got):\n%s", diff)
			}
		})
	}
}

func checkLV(t *testing.T, name string, want LogicalVolume) {
	t.Helper()
	got, err := parseLV([]byte(captured(t, name+".json")))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("volume (-want +got):\n%s", diff)
	}
}

func TestParseLVRefuses(t *testing.T) {
	good := captured(t, "snapshot.json")
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "unexpected end"},
		{"no JSON", "LV VG Attr", "invalid character"},
		{"no report", `{"report": []}`, "0 reports"},
		{"two reports", `{"report": [{}, {}]}`, "2 reports"},
		{"no volume", captured(t, "no-lv.json"), "no such logical volume"},
		{"a whole group", captured(t, "all.json"), "more than one"},
		{"no uuid", edit(t, good, `"lv_uuid":"`+uuidOf(t, good)+`"`, `"lv_uuid":""`),
			"without a name"},
		{"number for text", edit(t, good, `"lv_size":"3686400"`, `"lv_size":3686400`),
			"cannot unmarshal"},
		{"negative size", edit(t, good, `"lv_size":"3686400"`, `"lv_size":"-5"`), `lv_size "-5"`},
		{"size with unit", edit(t, good, `"origin_size":"6148096"`, `"origin_size":"6148096B"`),
			`origin_size "6148096B"`},
		{"huge size", edit(t, good, `"chunk_size":"65536"`, `"chunk_size":"9223372036854775808"`),
			"chunk_size"},
		{"flag as text", edit(t, good, `"lv_merging":"0"`, `"lv_merging":"merging"`),
			`lv_merging "merging"`},
		{"flag missing", edit(t, good, `"lv_merge_failed":"0", `, ``), `lv_merge_failed ""`},
		{"half a number", edit(t, good, `"lv_kernel_minor":"3"`, `"lv_kernel_minor":"-1"`),
			"device number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := parseLV([]byte(tt.text))
			checkError(t, err, tt.want)
			if v != (LogicalVolume{}) {
				t.Errorf("got %+v with an error", v)
			}
		})
	}
}

func uuidOf(t *testing.T, text string) string {
	t.Helper()
	v, err := parseLV([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v.UUID
}

// edit replaces a part of a text, which has to be there.
func edit(t *testing.T, text, old, new string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("%s is not in %s", old, text)
	}
	return strings.Replace(text, old, new, 1)
}

func TestLVNotThere(t *testing.T) {
	for name, file := range map[string]string{
		"my-vg/nosuch":      "no-lv",
		"no-vg/lv":          "no-vg",
		"./x":               "bad-vg-name",
		"/dev/disk/by-id/x": "no-path",
		"my-vg/s-1-cow":     "cow-device",
	} {
		fakeNoLV(t, captured(t, file+".json"),
			"  Devices file PVID x last seen on /dev/y not found.\n"+captured(t, file+".err"))
		_, err := LVNamed(context.Background(), name)
		if !errors.Is(err, ErrNoLV) {
			t.Errorf("%s: error %v is not ErrNoLV", name, err)
		}
		checkError(t, err, "no such logical volume: "+name)
	}
}

// A volume that is there and of which not all can be told is no missing one, whatever the words.
func TestLVNotTold(t *testing.T) {
	for _, tt := range []struct{ stdout, stderr, want string }{
		{"", "  Devices file sys_wwid x last seen on /dev/y not found.\n  the reason\n",
			"ask lvs for my-vg/s-1: the reason"},
		{`{"report": [{"lv": []}], "log": [{"log_type":"print", "log_message":"noise"}, ` +
			`{"log_type":"error", "log_message":"the reason."}]}`,
			"lvm: noise\n", "ask lvs for my-vg/s-1: the reason."},
		{"", "", "ask lvs for my-vg/s-1: exit status 5"},
	} {
		fakeTool(t, "lvs", tt.stdout, tt.stderr, "5") // the list fails, too
		_, err := LV(context.Background(), "my-vg", "s-1")
		if err == nil || errors.Is(err, ErrNoLV) || err.Error() != tt.want {
			t.Errorf("error %v, want %s", err, tt.want)
		}
	}
}

func TestSelectionOf(t *testing.T) {
	for name, want := range map[string]string{
		"my-vg/st.snap+x_1":   `vg_name="my-vg" && lv_name="st.snap+x_1"`,
		"/dev/vg/lv":          `lv_path="/dev/vg/lv" || lv_dm_path="/dev/vg/lv"`,
		"vg/a\"b":             "",
		"/dev/disk/by-id/x:1": "",
		"vg/lv name":          "",
		"vg/lv\n":             "",
		"/dev/mapper/my--vg-x": `lv_path="/dev/mapper/my--vg-x" || ` +
			`lv_dm_path="/dev/mapper/my--vg-x"`,
	} {
		if got := selectionOf(name); got != want {
			t.Errorf("selectionOf(%q) = %s, want %s", name, got, want)
		}
	}
}

// A hidden volume, asked for without -a: no error, and no volume either.
func TestLVNothingSaid(t *testing.T) {
	fakeTool(t, "lvs", captured(t, "no-lv.json"), "", "0")
	if _, err := LV(context.Background(), "my-vg", "mrg"); !errors.Is(err, ErrNoLV) {
		t.Errorf("error %v is not ErrNoLV", err)
	}
}

func TestLVWithoutPrivileges(t *testing.T) {
	fakeTool(t, "lvs", captured(t, "not-root.json"), captured(t, "not-root.err"), "5")
	_, err := LV(context.Background(), "my-vg", "s-1")
	if errors.Is(err, ErrNoLV) {
		t.Error("error is ErrNoLV")
	}
	checkError(t, err, "ask lvs for my-vg/s-1: /dev/mapper/control: open failed: Permission denied")
}

// The warnings on standard error are no part of the report, and no failure.
func TestLVAsksOnce(t *testing.T) {
	argsFile := fakeTool(t, "lvs", captured(t, "snapshot.json"), "  WARNING: something\n", "0")
	v, err := LV(context.Background(), "my-vg", "s-1")
	if err != nil || v.Name != "s-1" {
		t.Fatalf("LV = %+v, %v", v, err)
	}
	args, err := os.ReadFile(argsFile)
	if err != nil {
		t.Fatal(err)
	}
	want := "C -a --reportformat json --units b --nosuffix --binary --config " + plainConfig +
		" -o " + lvFields + " -- my-vg/s-1\n"
	if diff := cmp.Diff(want, string(args)); diff != "" {
		t.Errorf("LC_ALL and arguments (-want +got):\n%s", diff)
	}
}
