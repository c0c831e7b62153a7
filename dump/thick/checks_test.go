package thick

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lvmsync/dump"
	"lvmsync/format/storage/kernel"
)

// two shows the snapshots "s" and "s2" of one origin, each with a store of its own.
func two(t *testing.T) (*shown, captured) {
	s, c := partial(t)
	s.add("s2", partialSize, clone(t, c.origin), clone(t, c.cow), c.ChunkBytes, partialStatus)
	return s, c
}

func clone(t *testing.T, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "clone")
	if err := os.WriteFile(to, read(t, path), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// write overwrites a part of a file, or of a device by way of the page cache.
func write(t *testing.T, path string, off int64, data string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() }) // the last one to close a device flushes it
	if _, err := f.WriteAt([]byte(data), off); err != nil {
		t.Fatal(err)
	}
}

// ways are all to open the snapshots that two shows, and their stores.
func (s *shown) ways() map[string]func() (Source, error) {
	t := s.t
	store := func(exact, reverse bool) func() (Source, error) {
		return func() (Source, error) {
			return OpenStore(t.Context(), s.stores["s"].Path(), s.origin.Path(), exact, reverse)
		}
	}
	return map[string]func() (Source, error){
		"forth":   func() (Source, error) { return Open(t.Context(), s.paths["s"]) },
		"reverse": func() (Source, error) { return OpenReverse(t.Context(), s.paths["s"]) },
		"to": func() (Source, error) {
			return OpenTo(t.Context(), s.paths["s"], s.paths["s2"])
		},
		"to the first": func() (Source, error) {
			return OpenTo(t.Context(), s.paths["s2"], s.paths["s"])
		},
		"store":          store(false, false),
		"store, exact":   store(true, false),
		"store, reverse": store(false, true),
		"store by itself": func() (Source, error) {
			return OpenStore(t.Context(), s.stores["s"].Path(), "", false, true)
		},
	}
}

// Whoever uses what is read is told of: of all that is read, and of nothing else.
func TestInputs(t *testing.T) {
	s, _ := two(t)
	origin := fmt.Sprintf("the origin %s false", s.origin.Path())
	first, second := fmt.Sprintf("the snapshot %s true", s.paths["s"]),
		fmt.Sprintf("the snapshot %s true", s.paths["s2"])
	store := fmt.Sprintf("the COW store %s true", s.stores["s"].Path())
	want := map[string][]string{
		"forth": {origin, first}, "reverse": {origin, first},
		"to": {first, second}, "to the first": {second, first},
		"store": {origin, store}, "store, exact": {origin, store},
		"store, reverse": {origin, store}, "store by itself": {store},
	}
	for name, open := range s.ways() {
		src, err := open()
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		var got []string
		for _, in := range src.Inputs {
			got = append(got, fmt.Sprintf("%s %s %v", in.What, in.Name(), in.Still))
		}
		if !slices.Equal(got, want[name]) {
			t.Errorf("%s: the inputs are %q, want %q", name, got, want[name])
		}
	}
}

// What is in the page cache of anything that is read is flushed before a list is read: a write to a
// snapshot makes an exception in that.
func TestInputsFlushed(t *testing.T) {
	const word = "just written"
	for name := range (&shown{t: t}).ways() {
		t.Run(name, func(t *testing.T) {
			s, c := two(t)
			files := map[string]string{s.origin.Path(): c.origin, s.stores["s"].Path(): c.cow,
				s.paths["s"]: c.base, s.paths["s2"]: s.snapshots["s2"]}
			seen := t.TempDir()
			copying := fmt.Sprintf("cp -n %s %s %s", c.base, s.snapshots["s2"], seen)
			for _, num := range s.nums {
				s.Status(num, 1, fmt.Sprintf("0 %d snapshot %s", partialSize/512, partialStatus),
					copying)
			}
			for device, file := range files {
				write(t, device, size(t, file)-4096, word)
			}
			src, err := s.ways()[name]()
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			for _, in := range src.Inputs {
				file := files[in.Name()]
				if in.What == "the snapshot" {
					file = filepath.Join(seen, filepath.Base(file))
				}
				if got := string(read(t, file)[size(t, file)-4096:][:len(word)]); got != word {
					t.Errorf("%s had %q when the list was begun", in.Name(), got)
				}
			}
		})
	}
}

func size(t *testing.T, path string) int64 { return int64(len(read(t, path))) }

// A store that says at last that its list isn't complete ends a dump, whatever the kernel says of
// the snapshot.
func TestStoresCheckedAtLast(t *testing.T) {
	for name := range (&shown{t: t}).ways() {
		for _, store := range []string{"s", "s2"} {
			if store == "s2" && name != "to" && name != "to the first" {
				continue
			}
			t.Run(name+" "+store, func(t *testing.T) {
				s, _ := two(t)
				src, err := s.ways()[name]()
				if err != nil {
					t.Fatal(err)
				}
				defer src.Close()
				write(t, s.cows[store], 4, "\x00") // its list is valid
				if _, err := dump.Run(t.Context(), src.Source, new(bytes.Buffer),
					dump.Options{}); !errors.Is(err, dump.ErrIncomplete) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

// A snapshot that the kernel has on a store that was named by its file is asked before the list is
// read, after it, and when the last data have been read.
func TestStandingAsked(t *testing.T) {
	invalid := fmt.Sprintf("0 %d snapshot Invalid", partialSize/512)
	c := captureOf(t, "c64k-partial")
	// each time but the first, those that stood there, and those that do
	for look := 1; look <= 6; look++ {
		t.Run(fmt.Sprint(look), func(t *testing.T) {
			s := show(t, c.origin)
			s.add("s", partialSize, c.base, c.cow, c.ChunkBytes, partialStatus)
			s.mapped(s.nums["s"])
			s.Status(s.nums["s"], look, invalid, "")
			src, err := OpenStore(t.Context(), c.cow, c.origin, false, false)
			if err == nil && look >= 4 {
				defer src.Close()
				if got, want := src.Inputs.Paths(),
					[]string{c.origin, s.stores["s"].Path()}; !slices.Equal(got, want) {
					t.Errorf("read are %q, want %q", got, want) // the kernel's own device
				}
				_, err = dump.Run(t.Context(), src.Source, new(bytes.Buffer), dump.Options{})
			}
			if bad := look <= 5; errors.Is(err, dump.ErrIncomplete) != bad || !bad && err != nil {
				t.Errorf("error %v", err)
			}
		})
	}
}

// mapped has sysfs list a device as one of device-mapper.
func (s *shown) mapped(num kernel.DevNum) {
	s.t.Helper()
	block := filepath.Join(s.Dir(), "sys/block")
	entries, err := os.ReadDir(block)
	for _, err := range []error{err,
		os.Remove(block),
		os.MkdirAll(filepath.Join(block, "dm-0"), 0o700),
		os.WriteFile(filepath.Join(block, "dm-0", "dev"), []byte(num.String()+"\n"), 0o600)} {
		if err != nil {
			s.t.Fatal(err)
		}
	}
	for _, e := range entries {
		if err := os.Symlink("/sys/block/"+e.Name(), filepath.Join(block, e.Name())); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Of a store that may grow it can't be told what was where: it is refused, but for what is sent
// whole.
func TestStandingMayGrow(t *testing.T) {
	for _, way := range []struct{ exact, reverse bool }{{true, false}, {false, true}} {
		s, c := partial(t)
		s.mapped(s.nums["s"])
		src, err := OpenStore(t.Context(), c.cow, c.origin, way.exact, way.reverse)
		if err == nil {
			src.Close()
			t.Errorf("%+v: no error", way)
		}
	}
}

// A store that is a file which no loop device shows is no device's: it is read where device-mapper
// is out of order, whatever devices of others there are.
func TestStoreWithoutLoop(t *testing.T) {
	c := captureOf(t, "c64k-partial")
	s := show(t, c.origin)
	other := kernel.DevNum{Major: 4095, Minor: 5} // which stands on nobody knows what
	if err := os.MkdirAll(filepath.Join(other.Dir(), "slaves", "gone"), 0o700); err != nil {
		t.Fatal(err)
	}
	dev := filepath.Join(other.Dir(), "dev")
	if err := os.WriteFile(dev, []byte(other.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.mapped(other)
	s.Before("dmsetup", "exit 1")
	src, err := OpenStore(t.Context(), c.cow, c.origin, false, false)
	if err != nil {
		t.Fatal(err)
	}
	src.Close()
	s.Loop(c.cow)
	if src, err := OpenStore(t.Context(), c.cow, c.origin, false, false); err == nil {
		src.Close()
		t.Error("a loop device has it, and it can't be told whether a snapshot stands on that")
	}
}

// That it isn't known who uses a store is said of the store.
func TestStoreOfUnknownUsers(t *testing.T) {
	s, _ := partial(t)
	l := new(lone)
	if err := l.open(s.stores["s"].Path(), s.origin.Path()); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	kernel.Sys = t.TempDir() // which the machine puts back
	want := "find out who uses " + l.file.Name() + ": "
	if _, err := l.trusted(true); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}
