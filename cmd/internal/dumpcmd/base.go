package dumpcmd

import (
	"context"
	"fmt"
	"io"

	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/dump/compare"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/signature"
	"lvmsync/format"
	"lvmsync/format/sigfile"
)

// openWithBase opens a device or file and the one that it's compared with.
func openWithBase(ctx context.Context, inv *cli.Invocation, name string,
	blockSize int64) (source, error) {
	path, err := devmapper.Resolve(ctx, name)
	if err != nil {
		return source{}, err
	}
	old, err := devmapper.Resolve(ctx, inv.String("base"))
	if err != nil {
		return source{}, err
	}
	src, err := compare.Open(ctx, path, old, blockSize)
	if err != nil {
		return source{}, err
	}
	warnSizes(inv, name, src.Header.VolumeSize, src.Base.Size())
	return source{Source: src, name: name, compares: true}, nil
}

// openWithSignature opens a device or file and the signature that it's compared with.
func openWithSignature(ctx context.Context, inv *cli.Invocation, name string) (source, error) {
	path, err := devmapper.Resolve(ctx, name)
	if err != nil {
		return source{}, err
	}
	in, paths, err := openSignature(ctx, inv, inv.String("signature"))
	if err != nil {
		return source{}, err
	}
	src, err := signature.Open(ctx, path, in)
	if err != nil {
		return source{}, err
	}
	warnSizes(inv, name, src.Header.VolumeSize, src.Sums.Size())
	return source{Source: src, name: name, paths: paths, compares: true}, nil
}

// openSignature opens a signature, and checks one in a file or on a device to its end. It stays
// open until the program ends.
func openSignature(ctx context.Context, inv *cli.Invocation,
	name string) (in io.Reader, paths []string, err error) {
	f, err := patchfile.Open(ctx, inv, "signature", name)
	if err != nil {
		return nil, nil, err
	}
	in = patchfile.Reader(ctx, f)
	if !cli.IsStored(f) {
		return in, nil, nil
	}
	if patchfile.IsDevice(f) {
		in = format.OnDevice(in)
	}
	begin, err := f.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = sigfile.Verify(in)
	}
	if err == nil {
		_, err = f.Seek(begin, io.SeekStart)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", patchfile.Shown(name), err)
	}
	return in, []string{f.Name()}, nil
}

// warnSizes tells that the volume has not the size of what it is compared with.
func warnSizes(inv *cli.Invocation, name string, size, base int64) {
	switch {
	case size < base:
		inv.Warn(fmt.Sprintf("%s has %d bytes, %d fewer than what it is compared with: the "+
			"destination keeps what lies beyond", name, size, base-size))
	case size > base:
		inv.Note("%s has %d bytes, %d more than what it is compared with: all of those are sent",
			name, size, size-base)
	}
}
