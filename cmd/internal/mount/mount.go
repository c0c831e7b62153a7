// Package mount shows states of archives as files of a file system, to be read and never written.
//
// A state is opened when its file is: a chain may have thousands of patches, and an archive
// thousands of states. Nothing that is slow about one file holds up another one.
package mount

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"lvmsync/format/archive"
	"lvmsync/format/volume"
)

// Options say what is mounted, and where.
type Options struct {
	Point   string   // the folder, as CheckPoint returned it
	Volumes []Volume // none without a state
	Source  string   // what is mounted, for df and the like

	Base       io.ReaderAt // beneath chains that don't begin with a full patch; nil: there are none
	BaseSize   int64       // in bytes
	Cache      int64       // memory for what was read, for all files together, in bytes
	AcceptLost bool        // have zeros read where a patch has lost what the volume held
	AllowOther bool        // let other users than this one read the files

	// Warn is told what can't be read, by any number of goroutines. Required.
	Warn func(message string)
}

// A Mount is one that is there.
type Mount struct {
	point  string
	device uint64 // of its files
	server *fuse.Server
	done   chan struct{}
	gone   chan struct{}
}

// name is that of the kind of file system.
const name = "lvmsync"

// maxRead is how much is read at a time, in bytes: the most that the kernel asks for.
const maxRead = 1 << 20

// ahead is how far the kernel reads ahead of who reads from one byte to the next, in bytes: several
// requests, for several processors to work on.
const ahead = 8 << 20

// maxBackground is how many reads that nobody waits for yet the kernel asks for at once. All files
// share them: a few that a slow disk is busy with shall not be all.
const maxBackground = 512

// forever is how long the kernel may keep what it knows: nothing ever changes.
const forever = 24 * time.Hour

// New mounts the states. The files can be opened when it returns.
func New(o Options) (*Mount, error) {
	if err := checkFUSE(o.AllowOther); err != nil {
		return nil, err
	}
	told := &told{warn: o.Warn, keys: make(map[string]bool)}
	options := fuseOptions(o)
	options.PanicHandler = told.panicked
	m := &Mount{point: o.Point, done: make(chan struct{}), gone: make(chan struct{})}
	before, err := mountAt(o.Point)
	if err != nil {
		return nil, mountError(o.Point, err)
	}
	target := o.Point
	if !options.DirectMountStrict {
		if target, err = mountByHelper(o.Point, &options.MountOptions); err != nil {
			return nil, mountError(o.Point, err)
		}
	}
	if m.server, err = fs.Mount(target, newTree(o, told), options); err != nil {
		return nil, m.leave(before, mountError(o.Point, err))
	}
	go func() {
		m.server.Wait()
		close(m.done)
	}()
	if err := m.tune(); err != nil {
		return nil, m.leave(before, mountError(o.Point, err))
	}
	go m.watch()
	return m, nil
}

// fuseOptions are those of package fuse.
func fuseOptions(o Options) *fs.Options {
	timeout := forever
	options := &fs.Options{EntryTimeout: &timeout, AttrTimeout: &timeout,
		NegativeTimeout: &timeout, NullPermissions: true}
	options.MountOptions = fuse.MountOptions{
		AllowOther:        o.AllowOther,
		DirectMountStrict: os.Geteuid() == 0,
		DirectMountFlags:  unix.MS_NOSUID | unix.MS_NODEV | unix.MS_RDONLY,
		Options:           []string{"default_permissions"},
		FsName:            o.Source,
		Name:              name,
		MaxWrite:          maxRead,
		MaxBackground:     maxBackground,
		DisableXAttrs:     true,
		Logger:            log.New(io.Discard, "", 0),
	}
	if !options.DirectMountStrict {
		options.Options = append(options.Options, "ro", "nosuid", "nodev")
	}
	return options
}

// leave takes away a mount that was made, but can't be served, and returns the reason for that.
// What was there before is not ours.
func (m *Mount) leave(before *mountinfo.Info, reason error) error {
	at, err := mountAt(m.point)
	switch {
	case err != nil:
	case at == nil, at.FSType != "fuse."+name, before != nil && before.ID == at.ID:
		return reason
	default:
		m.device = device(at)
		err = m.Detach()
	}
	if err != nil {
		return fmt.Errorf("%w; what may be mounted there now can't be taken away: %w", reason, err)
	}
	return reason
}

// tune finds out the number of the file system's device, and has the kernel read further ahead.
func (m *Mount) tune() error {
	var st unix.Stat_t
	if err := unix.Stat(m.point, &st); err != nil {
		return err
	}
	m.device = st.Dev
	path := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(st.Dev),
		unix.Minor(st.Dev))
	_ = os.WriteFile(path, fmt.Appendf(nil, "%d", ahead>>10), 0) // root may
	return nil
}

// Done is closed once it is unmounted and nobody has a file of it open.
func (m *Mount) Done() <-chan struct{} { return m.done }

// newTree makes the root.
func newTree(o Options, told *told) *folder {
	b := &builder{Options: o, modes: modes{o.AllowOther}, told: told,
		patches: &patches{all: make(map[*archive.Patch]*opened)},
		sizes:   sizes{base: o.BaseSize, known: make(map[*archive.Patch]int64)}}
	b.volume = volume.Options{Base: o.Base, BaseSize: o.BaseSize,
		Shared: volume.NewCache(o.Cache), AcceptLost: o.AcceptLost}
	b.count()
	root := b.folder(o.Volumes...)
	root.fill = func(ctx context.Context) { b.fill(ctx, root) }
	return root
}

// A builder makes the nodes of a tree.
type builder struct {
	Options
	modes
	told    *told
	patches *patches
	sizes   sizes
	volume  volume.Options
	statfs  fuse.StatfsOut
	inode   uint64
}

// count sets what df shows: all is full.
func (b *builder) count() {
	b.statfs = fuse.StatfsOut{Bsize: blockSize, Frsize: blockSize, NameLen: 255}
	for _, v := range b.Volumes {
		for _, s := range v.States {
			size := s.Patch.Header.Last().VolumeSize
			b.statfs.Blocks += uint64(size/blockSize + min(1, size%blockSize))
			b.statfs.Files++
		}
	}
}

// fill adds all that is beneath the root.
func (b *builder) fill(ctx context.Context, root *folder) {
	if len(b.Volumes) == 1 {
		b.addFiles(ctx, &root.Inode, b.Volumes[0])
		return
	}
	for i, name := range folderNames(b.Volumes) {
		v := b.Volumes[i]
		node := root.NewPersistentInode(ctx, b.folder(v), b.stable(fuse.S_IFDIR))
		b.add(&root.Inode, name, node)
		b.addFiles(ctx, node, v)
	}
}

func (b *builder) addFiles(ctx context.Context, to *fs.Inode, v Volume) {
	for i, name := range fileNames(v.States) {
		node := to.NewPersistentInode(ctx, b.file(v.States[i], name), b.stable(fuse.S_IFREG))
		b.add(to, name, node)
	}
}

// add adds a node. Its name is no other one's, or it could not be seen.
func (b *builder) add(to *fs.Inode, name string, node *fs.Inode) {
	if !to.AddChild(name, node, false) {
		b.Warn(fmt.Sprintf("%s is left out, for another one has that name: please report it", name))
	}
}

func (b *builder) folder(volumes ...Volume) *folder {
	f := &folder{modes: b.modes, statfs: b.statfs}
	for _, v := range volumes {
		for _, s := range v.States {
			if t := s.Patch.Time(); t.After(f.time) {
				f.time = t
			}
		}
	}
	return f
}

func (b *builder) file(s State, name string) *file {
	c := &content{Patch: s.Patch, name: name, base: s.Base, patches: b.patches, options: b.volume,
		told: b.told}
	return &file{modes: b.modes, content: c, size: s.Patch.Header.Last().VolumeSize,
		blocks: b.sizes.blocks(s.Patch), time: s.Patch.Time(), statfs: b.statfs}
}

// stable numbers an inode.
func (b *builder) stable(mode uint32) fs.StableAttr {
	b.inode++
	return fs.StableAttr{Mode: mode, Ino: 1 + b.inode}
}
