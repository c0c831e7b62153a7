package apply

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"lvmsync/format"
	"lvmsync/format/walk"
)

// shownExtents is how many extents a BaseError or a LostError names.
const shownExtents = 3

// A BaseError says where the destination does not hold the base of a patch.
type BaseError struct {
	Patch   string          // its name, if there are several
	Extents []format.Extent // the first that differ
	Count   int64           // how many do
	Samples int             // how many samples of the fingerprint differ
	Of      int             // of how many
	Undo    bool            // it is an undo patch
}

// Error says what differs.
func (e *BaseError) Error() string {
	text := ErrWrongBase.Error()
	if e.Patch != "" {
		text = fmt.Sprintf("what comes before %s is not its base", e.Patch)
	}
	if e.Of > 0 {
		return fmt.Sprintf("%s: %d of %d samples of what the patch leaves unchanged differ",
			text, e.Samples, e.Of)
	}
	what := fmt.Sprintf("%d extents hold", e.Count)
	if e.Count == 1 {
		what = "an extent holds"
	}
	return fmt.Sprintf("%s: %s something else, at bytes %s", text, what,
		ranges(e.Extents, e.Count))
}

// ranges lists the first of count extents.
func ranges(first []format.Extent, count int64) string {
	var where []string
	for _, x := range first {
		where = append(where, fmt.Sprintf("[%d, %d)", x.Off, x.End()))
	}
	if int64(len(where)) < count {
		where = append(where, "...")
	}
	return strings.Join(where, ", ")
}

// Unwrap makes the error match ErrWrongBase.
func (e *BaseError) Unwrap() error { return ErrWrongBase }

// A baseCheck compares the base of each of several patches, or of one, with what the ones
// before it will leave, in one walk through the volume. It goes in steps: parts of the
// volume of which a patch has all or nothing. Patches that can be read at random run goes
// through; of one that comes segment by segment, run compares the fingerprint, and segment or
// compare the rest.
type baseCheck struct {
	dest  *destination
	skip  bool // nothing is compared
	links []*link
	pos   int64 // where the next step begins, or before

	step  format.Extent
	known inMemory    // the last that is known of what the destination holds
	from  io.ReaderAt // where the rest of that is read
	ahead ahead
	buf   []byte // for known
	data  []byte // see segment
}

func newBaseCheck(d *destination, c *chain, skip bool) *baseCheck {
	b := &baseCheck{dest: d, skip: skip}
	for i := range c.patches {
		b.links = append(b.links, newLink(d, c, i))
	}
	for i, c := range walk.NewCursors(c.files...) {
		b.links[i].cursor = c
	}
	for i, l := range b.links {
		for _, j := range c.newerBehind(i) {
			l.newer = append(l.newer, b.links[j])
		}
	}
	b.ahead = ahead{spans: spans{dest: d}, links: b.links}
	b.from = &b.ahead
	return b
}

// run goes through the volume. Its errors are those of reading.
func (b *baseCheck) run(ctx context.Context) error {
	for !b.skip {
		for _, l := range b.links {
			if l.quiet {
				continue
			}
			if err := l.cursor.Load(); err != nil && err != io.EOF {
				return fmt.Errorf("%s: %w", l.name, err)
			}
		}
		if !b.next() {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if b.wanted() {
			if err := b.quietly(); err != nil {
				return err
			}
			b.step.Len = min(b.step.Len, pieceSize-b.step.Off%pieceSize)
			if err := b.fill(); err != nil {
				return err
			}
			if err := b.compareStep(ctx); err != nil {
				return err
			}
		}
		b.pos = b.step.End()
		for _, l := range b.links {
			if l.quiet {
				continue
			}
			if err := l.cursor.Skip(b.pos); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
		}
	}
	return nil
}

// segment compares the destination with the base hashes of a segment of the only patch.
func (b *baseCheck) segment(ctx context.Context, s *format.Segment) error {
	if b.skip || !hasBase(s) {
		return nil
	}
	if len(b.data) < len(s.Data) {
		b.data = alignedBuffer(max(len(s.Data), pieceSize))
	}
	old := b.data[:len(s.Data)]
	if err := b.dest.readData(ctx, s, old); err != nil {
		return err
	}
	b.ahead.ofZeros(s)
	return b.compare(ctx, s, old, &b.ahead.spans)
}

func hasBase(s *format.Segment) bool {
	return slices.ContainsFunc(s.Records, func(r format.Record) bool { return r.HasBase })
}

// compare does the same if old, which lies in step with the data of the segment, and
// zeros are what the destination holds.
func (b *baseCheck) compare(
	ctx context.Context, s *format.Segment, old []byte, zeros io.ReaderAt,
) error {
	for r, data := range s.All() {
		there := inMemory{old[:len(data)], r.Off}
		old = old[len(data):]
		if err := b.extent(ctx, r, data, there, zeros); err != nil {
			return err
		}
	}
	return nil
}

// extent does it with an extent of the only patch, and what is known of the destination
// there; the rest of that is read.
func (b *baseCheck) extent(
	ctx context.Context, r format.Record, data []byte, known inMemory, from io.ReaderAt,
) error {
	if !r.HasBase {
		return nil
	}
	b.known, b.from = known, from
	only := b.links[0]
	only.left = nil // run has compared the fingerprint, or nobody asks for that
	*only.cursor = walk.Cursor{Rest: r, Data: data}
	return b.run(ctx)
}

// compareStep deals with a step.
func (b *baseCheck) compareStep(ctx context.Context) error {
	var state []byte
	for _, l := range b.links {
		l.before = state
		if l.has(b.step) {
			if state = zeros[:b.step.Len]; l.cursor.Rest.Kind == format.Data {
				state = l.cursor.Data[:b.step.Len]
			}
		}
		l.after = state
	}
	for i := range b.links {
		if err := b.compareHash(ctx, i); err != nil {
			return err
		}
		if err := b.compareSample(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// state is what is there in the step if that is what a patch left; nil: none did.
func (b *baseCheck) state(ctx context.Context, left []byte) ([]byte, error) {
	if left != nil {
		return left, nil
	}
	return b.holds(ctx)
}

// holds is what the destination holds in the step.
func (b *baseCheck) holds(ctx context.Context) ([]byte, error) {
	if there := b.known.part(b.step); there != nil {
		return there, nil
	}
	if b.buf == nil {
		b.buf = alignedBuffer(pieceSize)
	}
	there := b.buf[:b.step.Len]
	if err := readFull(ctx, b.from, there, b.step.Off); err != nil {
		return nil, err
	}
	b.known = inMemory{there, b.step.Off}
	return there, nil
}

// result is the error to report, if anything differed: that of the first patch.
func (b *baseCheck) result() error {
	for _, l := range b.links {
		if err := l.result(); err != nil {
			return err
		}
	}
	return nil
}
