package apply

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/sigfile"
	"lvmsync/format/storage/devtest"
)

// qcow2 is how an image of QEMU's begins.
const qcow2 = "QFI\xfb\x00\x00\x00\x03"

// headed is a patch of 1 MiB whose first block begins with head; of a delta, the second
// half of the volume stays, and has a sample.
func headed(t testing.TB, kind format.Kind, head string, base []byte) ([]byte, *volume) {
	t.Helper()
	v := newVolume(kind, mib, []format.Extent{data(0, mib/2)})
	if kind == format.Full {
		v = newVolume(kind, mib, []format.Extent{data(0, mib/2), data(mib/2, mib/2)})
	} else if base != nil {
		v.header.Base = &format.Base{Fingerprint: format.Fingerprint{
			{Offset: mib / 2,
				Hash: format.Hash(xxhash.Sum64(base[mib/2 : mib/2+format.SampleSize]))},
		}}
	}
	v.header.ID = uuid.New()
	copy(v.segments[0][0].data, head)
	patch, _ := v.patch(t)
	return patch, v
}

// hashedHead is a patch of the first block of one volume, with a sample of another one.
func hashedHead(t testing.TB, base, sampled []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := format.NewWriter(&out, format.Header{ID: uuid.New(), Kind: format.Delta,
		VolumeSize: int64(len(base)), Granularity: 4096,
		Base: &format.Base{Fingerprint: format.Fingerprint{{Offset: mib / 2,
			Hash: format.Hash(xxhash.Sum64(sampled[mib/2 : mib/2+format.SampleSize]))}}},
	}, format.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := w.NewSegment()
	s.Data = append(s.Data, garbage(4096)...)
	s.Records = append(s.Records, format.Record{Extent: data(0, 4096),
		HasBase: true, BaseHash: xxhash.Sum64(base[:4096])})
	if err := w.Write(s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// forgotten are backups that somebody names last. Each has more bytes than a volume of 1
// MiB and fewer than one of 4 MiB.
func forgotten(t testing.TB) map[string][]byte {
	v := newVolume(format.Full, 3*mib, []format.Extent{data(0, mib)},
		[]format.Extent{data(mib, 2*mib)})
	whole, _ := v.patch(t)
	var signature bytes.Buffer
	w, err := sigfile.NewWriter(&signature,
		sigfile.Header{ID: uuid.New(), VolumeSize: 3 * mib, BlockSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Log(err) // it lacks its tables: that it is a signature shows all the same
	}
	padded := func(b []byte) []byte {
		return append(slices.Clone(b), garbage(2*mib-int64(len(b)))...)
	}
	other := slices.Clone(whole)
	copy(other, garbage(mib))
	flipped := slices.Clone(whole)
	flipped[2] ^= 1
	return map[string][]byte{
		"a patch":                         whole,
		"one that was cut off":            whole[:2*mib],
		"nothing but its magic":           padded(whole[:16]),
		"one whose beginning is lost":     other,
		"one with a flipped bit in front": flipped,
		"a signature":                     padded(signature.Bytes()),
	}
}

// A patch or signature is no destination, whatever it is named by, however it is damaged
// and whatever else is allowed.
func TestForgottenDestination(t *testing.T) {
	delta, _ := newVolume(format.Delta, mib, []format.Extent{data(4096, 8192)}).patch(t)
	full, _ := newVolume(format.Full, 4*mib, []format.Extent{data(0, 2*mib)},
		[]format.Extent{data(2*mib, 2*mib)}).patch(t)
	sampled, _ := headed(t, format.Delta, "", garbage(mib))
	undo, _ := newVolume(format.Undo, mib, []format.Extent{data(0, 8192)}).patch(t)
	follower := newVolume(format.Delta, mib, []format.Extent{data(8192, 8192)})
	follower.header.ID = uuid.New()
	second, _ := follower.patch(t)
	turn, options := 0, []Options{{}, {DryRun: true}, {NoCheckBase: true, AllowSmaller: true},
		{Create: true, SpoolDir: t.TempDir()}}
	for name, backup := range forgotten(t) {
		for place, named := range map[string]func(t *testing.T) (path, file string){
			"file": func(t *testing.T) (string, string) {
				f := image(t, t.TempDir(), backup)
				return f, f
			},
			"symbolic link": func(t *testing.T) (string, string) {
				f := image(t, t.TempDir(), backup)
				link := filepath.Join(t.TempDir(), "link")
				if err := os.Symlink(f, link); err != nil {
					t.Fatal(err)
				}
				return link, f
			},
			"loop device": func(t *testing.T) (string, string) {
				f := image(t, t.TempDir(),
					append(slices.Clone(backup), make([]byte, -len(backup)&4095)...))
				return devtest.Loop(t, f), f
			},
			"disk that it was written to": func(t *testing.T) (string, string) {
				f := image(t, t.TempDir(),
					append(slices.Clone(backup), garbage(6*mib-int64(len(backup)))...))
				return devtest.Loop(t, f), f
			},
		} {
			if name == "one whose beginning is lost" &&
				(place == "loop device" || place == "disk that it was written to") {
				continue // it is known by its end alone, which is not that of a device
			}
			t.Run(name+"/"+place, func(t *testing.T) {
				path, file := named(t)
				before := readPastCache(t, file)
				for with, patches := range map[string][]Patch{
					"delta":   {{"delta", bytes.NewReader(delta)}},
					"sampled": {{"sampled", bytes.NewReader(sampled)}},
					"full":    {{"full", bytes.NewReader(full)}},
					"undo":    {{"undo", bytes.NewReader(undo)}},
					"pipe":    {{"pipe", pipe(full)}},
					"chain": {{"delta", bytes.NewReader(delta)},
						{"second", bytes.NewReader(second)}},
					"wrong chain": {{"delta", bytes.NewReader(delta)},
						{"full", bytes.NewReader(full)}},
				} {
					turn++
					o := options[turn%len(options)]
					o.Destination, o.system = path, fake(&fakeSystem{})
					r := (&run{Options: o}).doAll(t.Context(), patches)
					if r.wantError(t, ErrIsPatch,
						"not a volume: was the destination forgotten?"); t.Failed() {
						t.Fatalf("with %s", with)
					}
				}
				wantContent(t, file, before)
			})
		}
	}
}

// With force it is written, and told.
func TestForgottenForced(t *testing.T) {
	full, v := headed(t, format.Full, "", nil)
	path := image(t, t.TempDir(), forgotten(t)["a patch"][:mib])
	r := apply(t, path, bytes.NewReader(full), func(o *Options) { o.Force = true })
	r.wantWarning(t, "forced: "+path+" is a patch")
	wantContent(t, path, v.onto(make([]byte, mib), 1))
}

// An image in a form of its own is no raw image.
func TestNotRaw(t *testing.T) {
	content := append([]byte(qcow2), garbage(2*mib)...)
	for name, patch := range map[string]func() io.Reader{
		"full": func() io.Reader {
			p, _ := headed(t, format.Full, "", nil)
			return bytes.NewReader(p)
		},
		"pipe": func() io.Reader { p, _ := headed(t, format.Full, "", nil); return pipe(p) },
		"delta": func() io.Reader {
			p, _ := headed(t, format.Delta, "", nil)
			return bytes.NewReader(p)
		},
		"with samples of zeros": func() io.Reader {
			p, _ := headed(t, format.Delta, "", make([]byte, len(content)))
			return pipe(p)
		},
		"with samples of another": func() io.Reader {
			p, _ := headed(t, format.Delta, "", garbage(int64(len(content))))
			return pipe(p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := image(t, t.TempDir(), content)
			newRun(path).do(t.Context(), patch()).wantError(t, ErrNotRaw,
				path+" is a qcow2 image, not a raw image")
			wantContent(t, path, content)
		})
	}
	// what a volume holds may look like anything
	t.Run("a file that has the samples", func(t *testing.T) {
		p, v := headed(t, format.Delta, "", content)
		path := image(t, t.TempDir(), content)
		apply(t, path, pipe(p))
		wantContent(t, path, v.onto(content, 1))
	})
	t.Run("a file that has what is replaced, not the samples", func(t *testing.T) {
		p := hashedHead(t, content, garbage(int64(len(content))))
		path := image(t, t.TempDir(), content)
		for _, patch := range []io.Reader{bytes.NewReader(p), pipe(p)} {
			newRun(path).do(t.Context(), patch).wantError(t, ErrWrongBase, "1 of 1 samples")
		}
		wantContent(t, path, content)
	})
	t.Run("device, nothing known of it", func(t *testing.T) {
		path := devtest.Loop(t, image(t, t.TempDir(), content[:2*mib]))
		p, _ := headed(t, format.Delta, "", nil)
		newRun(path).do(t.Context(), bytes.NewReader(p)).wantError(t, ErrNotRaw, "is a qcow2 image")
		p, _ = headed(t, format.Full, "", nil)
		newRun(path).do(t.Context(), pipe(p)).wantError(t, ErrNotRaw, "is a qcow2 image")
		wantContent(t, path, content[:2*mib])
	})
	t.Run("device that is another one", func(t *testing.T) {
		path := devtest.Loop(t, image(t, t.TempDir(), content[:2*mib]))
		p, _ := headed(t, format.Delta, "", garbage(mib))
		newRun(path).do(t.Context(), bytes.NewReader(p)).wantError(t, ErrWrongBase, "samples")
		wantContent(t, path, content[:2*mib])
	})
}

// A volume may hold such a thing rightly, as a guest's disk does that is a qcow2 image on
// a logical volume. Its copies are made, repeated, brought up to date and taken back as
// others are.
func TestVolumeOfImage(t *testing.T) {
	for _, head := range []string{qcow2, "]*M\x18\x01\x00\x00\x00LVMPATCH"} {
		for _, reader := range []func([]byte) io.Reader{func(b []byte) io.Reader {
			return bytes.NewReader(b)
		}, pipe} {
			t.Run(fmt.Sprintf("%.4q", head), func(t *testing.T) {
				full, v := headed(t, format.Full, head, nil)
				path, old := image(t, t.TempDir(), garbage(mib)), garbage(mib)
				undo := filepath.Join(t.TempDir(), "undo")
				apply(t, path, reader(full), func(o *Options) { o.Undo = undo })
				copied := v.onto(make([]byte, mib), 1)
				apply(t, path, reader(full)).wantWarning(t, "")
				wantContent(t, path, copied)

				delta, d := headed(t, format.Delta, head+" changed", nil)
				apply(t, path, reader(delta))
				wantContent(t, path, d.onto(copied, 1))
				apply(t, path, reader(full))

				u, err := os.Open(undo)
				if err != nil {
					t.Fatal(err)
				}
				defer u.Close()
				apply(t, path, u)
				wantContent(t, path, old)
			})
		}
	}
	t.Run("the device is no image any more", func(t *testing.T) {
		full, v := headed(t, format.Full, qcow2, nil)
		path := devtest.Loop(t, image(t, t.TempDir(), garbage(mib)))
		apply(t, path, bytes.NewReader(full))
		copied := v.onto(make([]byte, mib), 1)
		delta, d := headed(t, format.Delta, "", copied)
		apply(t, path, pipe(delta))
		wantContent(t, path, d.onto(copied, 1))
	})
	t.Run("spooled", func(t *testing.T) {
		full, v := headed(t, format.Full, qcow2, nil)
		path := image(t, t.TempDir(), append([]byte(qcow2), garbage(2*mib)...)[:mib])
		r := apply(t, path, pipe(full), func(o *Options) { o.SpoolDir = t.TempDir() })
		wantContent(t, path, v.onto(make([]byte, mib), 1))
		if r.report.Totals.Bytes() != mib {
			t.Errorf("%d bytes dealt with", r.report.Totals.Bytes())
		}
	})
	t.Run("a chain", func(t *testing.T) {
		full, v := headed(t, format.Full, qcow2, nil)
		delta, d := headed(t, format.Delta, qcow2+"2", nil)
		path := image(t, t.TempDir(), append([]byte(qcow2), garbage(2*mib)...)[:mib])
		r := newRun(path).doAll(t.Context(),
			[]Patch{{"full", bytes.NewReader(full)}, {"delta", bytes.NewReader(delta)}})
		if r.err != nil {
			t.Fatal(r.err)
		}
		wantContent(t, path, d.onto(v.onto(make([]byte, mib), 1), 1))
	})
}
