package apply

import (
	"os"
	"testing"

	"lvmsync/format"
	"lvmsync/format/storage"
)

func TestOwnSource(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	const uuid = "LVM-AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHH0000111122223333444455556666eeee"
	source := format.Source{
		Type: "thick", BootID: "boot-1", DeviceID: "253:7", DeviceUUID: uuid,
		VGUUID:       "AAAABB-BBCC-CCDD-DDEE-EEFF-FFGG-GGHHHH",
		SnapshotUUID: "ssss00-1111-2222-3333-4444-5555-666677",
	}
	const snapshot = "LVM-AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHHssss0011112222333344445555666677"
	tests := []struct {
		name string
		host string // that made the patch
		dst  format.Source
		same bool
	}{
		{"unknown", host, format.Source{}, false},
		{"device number", "a.example", format.Source{BootID: "boot-1", DeviceID: "253:7"}, true},
		{"device number after a reboot", host, format.Source{BootID: "boot-2", DeviceID: "253:7"},
			false},
		{"device number of no boot", host, format.Source{DeviceID: "253:7"}, false},
		{"another device", host, format.Source{BootID: "boot-1", DeviceID: "253:8"}, false},
		{"UUID after a reboot", host,
			format.Source{BootID: "boot-2", DeviceID: "253:8", DeviceUUID: uuid}, true},
		{"UUID when the host was renamed", "a.example",
			format.Source{BootID: "boot-1", DeviceID: "253:8", DeviceUUID: uuid}, true},
		{"UUID of a clone elsewhere", "a.example",
			format.Source{BootID: "boot-2", DeviceUUID: uuid}, false},
		{"its snapshot", host, format.Source{BootID: "boot-2", DeviceUUID: snapshot}, true},
		{"the snapshot of a clone", "a.example",
			format.Source{BootID: "boot-2", DeviceUUID: snapshot}, false},
		{"the number of a device that has gone", host,
			format.Source{BootID: "boot-1", DeviceID: "253:7", DeviceUUID: uuid + "-other"}, false},
		{"another UUID", host,
			format.Source{BootID: "boot-1", DeviceID: "253:8", DeviceUUID: uuid + "-real"}, false},
	}
	vols := map[format.Kind]*volume{
		format.Full: newVolume(format.Full, 16384,
			[]format.Extent{data(0, 512), zero(512, 16384-512)}),
		format.Delta: smallVolume(),
	}
	dir := memory(t)
	for _, tt := range tests {
		for kind, vol := range vols {
			for _, force := range []bool{false, true} {
				t.Run(tt.name+"/"+string(kind), func(t *testing.T) {
					vol.header.Host, vol.header.Source = tt.host, source
					patch, _ := vol.patch(t)
					base := garbage(16384)
					r := newRun(image(t, dir, base))
					r.system, r.Force = fake(&fakeSystem{source: tt.dst}), force
					r.do(t.Context(), pipe(patch))
					switch {
					case tt.same && !(force && kind == format.Full):
						r.wantError(t, ErrOwnSource, r.Destination)
						wantContent(t, r.Destination, base)
					case r.err != nil:
						t.Fatal(r.err)
					case tt.same:
						r.wantWarning(t, "is where the patch came from")
					default:
						r.wantWarning(t, "")
					}
				})
			}
		}
	}
}

// A patch that says little of its source and a destination of which little is
// known are not the same.
func TestNoSource(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	h := fullVolume().header
	for _, source := range []format.Source{{}, {DeviceID: "7:0"}, {BootID: "boot-1"}} {
		for _, h.Host = range []string{host, ""} {
			h.Source = source
			if sameSource(h, source) {
				t.Errorf("host %q: %+v is taken for the same", h.Host, source)
			}
		}
	}
}

// That a destination is the source is said rather than that it is in use: only
// one of the two can be overruled for a delta.
func TestOwnSourceInUse(t *testing.T) {
	vol := deltaVolume()
	vol.header.Source = format.Source{BootID: "boot-1", DeviceID: "7:0"}
	patch, _ := vol.patch(t)
	r := newRun(image(t, t.TempDir(), garbage(3*mib)))
	r.system = fake(&fakeSystem{source: vol.header.Source,
		users: []storage.User{{Kind: storage.Mounted, Mountpoint: "/"}}})
	r.do(t.Context(), pipe(patch)).wantError(t, ErrOwnSource, "")
}
