//go:build lvm

package lvmtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"lvmsync/format"
)

const (
	failSize    = 1 * mib // destination
	scratchSize = 4 * mib // file system
)

// flakey is the table of a device that is bad in some way for as long as it is there.
func flakey(size int64, dev, how string) string {
	return fmt.Sprintf("0 %d flakey %s 0 0 86400 %s", size/512, dev, how)
}

// A destination that fails in the middle is told to be part-way, unless it fails before the first
// write; what a device does wrong without an error is found by reading back. When it works again,
// the patch completes it.
func TestFailingWrites(t *testing.T) {
	vg := newVG(t, "writes", 1)
	under := plain(t, vg, "under", failSize)
	bad := func(how string) []string { return []string{flakey(failSize, under, how)} }
	good := linear(0, failSize, under, 0)
	half := []string{linear(0, failSize/2, under, 0),
		fmt.Sprintf("%d %d error", failSize/2/512, failSize/2/512)}
	dest, broken := newMapped(t, "bad-dest", good),
		newMapped(t, "bad-error", fmt.Sprintf("0 %d error", failSize/512))
	p := newPair(5, failSize)
	blocks, _ := p.delta(t, crafting{unit: block, perSegment: 8})
	exact, _ := p.delta(t, crafting{exact: true, unit: block, perSegment: 8})
	// Zeros are made in other ways than data: reading back must find what is wrong with data alone.
	noZeros, _ := p.withoutZeros().delta(t, crafting{unsampled: true, unit: block, perSegment: 8})
	// The kernel reads a block that is written in part: that fails at once.
	sectors, _ := p.inSectors().delta(t, crafting{unsampled: true, unit: 512, perSegment: 8})
	for _, test := range []struct {
		name    string
		table   []string
		patch   []byte
		verify  bool
		status  int
		message string
		again   int // status of a repeated run; it completes the first one if that is 0
	}{
		{"flush", bad("1 error_writes"), blocks, false, 3, "input/output error", 0},
		{"write", half, sectors, false, 3, "input/output error", 0},
		{"compare", half, blocks, false, 1, "read /dev/mapper/bad-dest", 0},
		// One device is read, the other written.
		{"read back", []string{fmt.Sprintf("0 %d delay %s 0 0 %s 0 0", failSize/512, broken.path(),
			under)}, noZeros, true, 3, "read back", 0},
		{"lost writes", bad("1 drop_writes"), noZeros, true, 3, "does not hold what was written",
			0},
		{"changed writes", bad("5 corrupt_bio_byte 32 w 255 0"), blocks, true, 3,
			"does not hold what was written", 0},
		// Neither old nor new: not what the patch is for.
		{"changed writes, exact", bad("5 corrupt_bio_byte 32 w 255 0"), exact, true, 3,
			"does not hold what was written", 5},
		// Nobody can know without reading back.
		{"lost writes, not read", bad("1 drop_writes"), blocks, false, 0, "", 0},
		{"changed writes, not read", bad("5 corrupt_bio_byte 32 w 255 0"), blocks, false, 0, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			put(t, under, p.old)
			dest.reload(t, test.table...)
			args := []string{file(t, "patch", test.patch), dest.path()}
			if test.verify {
				args = append(args, "--verify")
			}
			r := run(t, nil, "lvmsync-apply", args...)
			dest.reload(t, good)
			r.want(t, test.status, test.message)
			switch test.status {
			case 3:
				r.want(t, 3, dest.path()+" is part-way")
			case 1:
				wantSum(t, dest.path(), "the old state", p.oldSum)
			case 0:
				if holds(t, dest.path(), p.newSum) {
					t.Error("the device was not bad")
				}
			}
			run(t, nil, "lvmsync-apply", args...).want(t, test.again, "")
			if test.again != 0 {
				run(t, nil, "lvmsync-apply", append(args, "--no-check-base")...).want(t, 0, "")
			}
			wantContent(t, dest.path(), "the new state", onto(t, test.patch, p.old))
		})
	}
}

// inSectors is the pair with changes in the first sector of each block only.
func (p pair) inSectors() pair {
	q := pair{old: p.old, new: bytes.Clone(p.old)}
	for off := 0; off < len(p.old); off += block {
		copy(q.new[off:off+512], p.new[off:])
	}
	return q
}

// withoutZeros is the pair with data where the new state has zeros.
func (p pair) withoutZeros() pair {
	q := pair{old: p.old, new: bytes.Clone(p.new)}
	for i := range q.new {
		q.new[i] |= 1
	}
	return q
}

// A scratch is a small file system on a device that can be made bad.
type scratch struct {
	mapped
	dev string // beneath
	mnt string
}

func newScratch(t *testing.T, dev string) scratch {
	t.Helper()
	s := scratch{newMapped(t, "bad-scratch", linear(0, scratchSize, dev, 0)), dev, ""}
	sh(t, "mkfs.ext4", "-q", "-b", "1024", "-m", "0", "-J", "size=1", s.path())
	s.mnt = mount(t, s.path())
	return s
}

// fill leaves room for so many bytes.
func (s scratch) fill(t *testing.T, room int64) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.mnt, &st); err != nil {
		t.Fatal(err)
	}
	sh(t, "fallocate", "-l", fmt.Sprint(int64(st.Bavail)*st.Bsize-room),
		filepath.Join(s.mnt, "fill"))
}

func (s scratch) fail(t *testing.T, how string) {
	t.Helper()
	s.reload(t, flakey(scratchSize, s.dev, how))
}

func (s scratch) mend(t *testing.T) { t.Helper(); s.reload(t, linear(0, scratchSize, s.dev, 0)) }

// No part of the destination is written before what it held is safe: if there is no room for the
// undo patch, or its disk fails, the destination is as it was, or the undo patch takes it back.
func TestFailingUndo(t *testing.T) {
	vg := newVG(t, "badundo", 1)
	dest, disk := plain(t, vg, "dest", failSize), plain(t, vg, "disk", scratchSize)
	p := newPair(6, failSize)
	whole, _ := p.delta(t, crafting{unit: block, perSegment: 8000}) // saved at once
	// segments that are saved before they are written
	const held = 8
	steps, ends := p.delta(t, crafting{unit: block, perSegment: 2})
	lastHeld := p.changes(block, false)[2*held-1]
	for _, test := range []struct {
		name    string
		patch   []byte
		room    int64 // for the undo patch; 0: enough
		before  string
		between string // how its disk fails when a part has been applied
		status  int
		message string
	}{
		{"no room", whole, 300 * kib, "", "", 1, "no space left on device"},
		{"no more room", steps, 300 * kib, "", "", 3, "no space left on device"},
		// read-only, if the journal met the error first
		{"bad", whole, 0, "1 error_writes", "", 1, "flush the undo patch"},
		{"turns bad", steps, 0, "", "1 error_writes", 3, "the undo patch"},
	} {
		t.Run(test.name, func(t *testing.T) {
			put(t, dest, p.old)
			s := newScratch(t, disk)
			if test.room > 0 {
				s.fill(t, test.room)
			}
			undo := filepath.Join(s.mnt, "undo")
			if test.before != "" {
				s.fail(t, test.before)
			}
			cmd := exec.Command("lvmsync-apply", "--undo", undo, dest)
			var r result
			if test.between == "" {
				r = runCommand(t, bytes.NewReader(test.patch), cmd)
			} else {
				// one more: what a segment overwrites is read ahead
				r = runFed(t, cmd, test.patch, ends[held+1], func(cmd *running) {
					waitFor(t, cmd, dest, lastHeld, p.new)
					s.fail(t, test.between)
				})
			}
			r.want(t, test.status, test.message)
			if test.status == 1 {
				wantSum(t, dest, "the old state", p.oldSum)
			} else {
				r.want(t, 3, "lvmsync-apply "+undo+" "+dest)
				r.want(t, 3, dest+" is part-way")
			}
			s.mend(t)
			takeBack(t, s, undo, dest)
			wantSum(t, dest, "the old state", p.oldSum)
		})
	}
}

// takeBack applies an undo patch once its file system has been mounted again, as after a crash.
// Without one nothing has to be taken back.
func takeBack(t *testing.T, s scratch, patch, dest string) {
	t.Helper()
	sh(t, "umount", s.mnt)
	sh(t, "mount", s.path(), s.mnt)
	undo(t, patch, dest)
	sh(t, "umount", s.mnt)
}

// runFed runs a program that reads a patch from a pipe, and does something when it has been given
// the first n bytes.
func runFed(t *testing.T, cmd *exec.Cmd, patch []byte, n int, then func(*running)) result {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, cmd)
	in.Write(patch[:n])
	then(r)
	in.Write(patch[n:])
	in.Close()
	r.Wait()
	t.Logf("%s: %v\n%s", cmd.Args, cmd.ProcessState, errs.String())
	return result{status: cmd.ProcessState.ExitCode(), stderr: errs.String()}
}

// waitFor waits until a command has made a part of a device or file what it shall be, on the device
// or in memory.
func waitFor(t *testing.T, cmd *running, path string, e format.Extent, shall []byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	is := make([]byte, e.Len)
	cmd.until(t, func() bool {
		if _, err := f.ReadAt(is, e.Off); err != nil {
			t.Fatal(err)
		}
		return bytes.Equal(is, shall[e.Off:e.End()])
	})
}

// A patch that can't be spooled is not applied, though it could be read from memory when the disk
// has failed.
func TestFailingSpool(t *testing.T) {
	vg := newVG(t, "badspool", 1)
	dest, disk := plain(t, vg, "dest", failSize), plain(t, vg, "disk", scratchSize)
	p := newPair(7, failSize)
	patch, _ := p.delta(t, crafting{unit: block, perSegment: 8})
	for _, test := range []struct {
		name    string
		arrange func(scratch)
		status  int
		message string
	}{
		{"no room", func(s scratch) { s.fill(t, 300*kib) }, 1, "no space left on device"},
		{"gone", func(s scratch) { s.fail(t, "0") }, 1, "create a spool file in"},
		{"bad", func(s scratch) { s.fail(t, "1 error_writes") }, 1, "flush the spool file: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			put(t, dest, p.old)
			s := newScratch(t, disk)
			test.arrange(s)
			r := applyPatch(t, patch, "--spool", s.mnt, dest)
			s.mend(t)
			r.want(t, test.status, test.message)
			if test.status == 0 {
				wantSum(t, dest, "the new state", p.newSum)
			} else {
				wantSum(t, dest, "the old state", p.oldSum)
			}
		})
	}
}
