package dump

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"

	"lvmsync/dump/internal/patchtest"
	"lvmsync/format"
	"lvmsync/format/refine"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// A runTest says what volume and extents a source has.
type runTest struct {
	size    int
	zeros   []int64 // ranges of zeros: offset, length...
	stripe  int     // every other run of that many bytes is zeros
	extents []format.Extent
}

func (x runTest) fake() *fakeSource {
	s := &fakeSource{volume: noise(x.size), extents: x.extents}
	for _, e := range data(x.zeros...) {
		clear(s.volume[e.Off:e.End()])
	}
	for off := 0; off < x.size && x.stripe > 0; off += 2 * x.stripe {
		clear(s.volume[off:min(off+x.stripe, x.size)])
	}
	return s
}

var runTests = map[string]runTest{
	"nothing changed":         {size: mib},
	"one block":               {size: mib, extents: data(8*kib, 4*kib)},
	"first and last block":    {size: mib, extents: data(0, 4*kib, mib-4*kib, 4*kib)},
	"everything":              {size: 5 * mib, extents: data(0, 5*mib)},
	"a whole batch":           {size: 5 * mib, extents: data(0, batchData)},
	"a sector more than that": {size: 5 * mib, extents: data(0, batchData+512)},
	"many blocks":             {size: 12 * mib, extents: every(8*kib, 4*kib, 12*mib)},
	"many sectors":            {size: 5 * mib, extents: every(kib, 512, 5*mib)},
	"a full table":            {size: 4 * mib, extents: every(2*kib, 512, batchExtents*2*kib)},
	"not aligned": {size: 3 * mib,
		extents: data(512, 5*kib, 7*kib, 2*mib, 2*mib+512*15, 512)},
	"odd end":              {size: mib + 511, extents: data(4*kib, 4*kib, mib-4*kib, 4*kib+511)},
	"one byte at the end":  {size: mib + 1, extents: data(mib, 1)},
	"a volume of one byte": {size: 1, extents: data(0, 1)},
	"only zeros":           {size: 5 * mib, zeros: []int64{0, 5 * mib}, extents: data(0, 5*mib)},
	"odd zero end":         {size: mib + 511, zeros: []int64{mib, 511}, extents: data(0, mib+511)},
	"zeros first":          {size: mib, zeros: []int64{0, 8 * kib}, extents: data(0, mib)},
	"zeros last": {size: mib, zeros: []int64{mib - 8*kib, 8 * kib},
		extents: data(0, mib)},
	"zeros in the middle": {size: mib, zeros: []int64{64 * kib, 4 * kib}, extents: data(0, mib)},
	"zeros across a batch": {size: 5 * mib, zeros: []int64{batchData - 8*kib, 16 * kib},
		extents: data(0, 5*mib)},
	"almost a block of zeros": {size: mib,
		zeros: []int64{64*kib + 1, 4*kib - 1, 128 * kib, 4*kib - 1}, extents: data(0, mib)},
	"zeros off the grid":      {size: mib, zeros: []int64{2 * kib, 4 * kib}, extents: data(0, mib)},
	"every other block zeros": {size: 5 * mib, stripe: 4 * kib, extents: data(0, 5*mib)},
	"zeros and not aligned":   {size: 5 * mib, stripe: 512, extents: every(4*kib, 3584, 5*mib)},
	"the most splits":         {size: 12 * mib, stripe: 4 * kib, extents: straddling(batchExtents)},
	"zero extents": {size: 3 * mib, extents: []format.Extent{{Off: 0, Len: mib, Kind: format.Zero},
		{Off: mib, Len: mib}, {Off: 2 * mib, Len: mib, Kind: format.Zero}}},
	"zero among small ones": {size: mib, extents: []format.Extent{{Off: 0, Len: 4 * kib},
		{Off: 4 * kib, Len: 4 * kib, Kind: format.Zero}, {Off: 8 * kib, Len: 4 * kib}}},
	"only zero extents": {size: 20 * mib, extents: zeroExtents(every(8*kib, 4*kib, 20*mib))},
	"zero extent, then zeros": {size: mib, zeros: []int64{4 * kib, 4 * kib},
		extents: []format.Extent{{Off: 0, Len: 4 * kib, Kind: format.Zero},
			{Off: 4 * kib, Len: 8 * kib}}},
	"a large zero extent first": {size: mib, extents: []format.Extent{
		{Off: 0, Len: mib - 512, Kind: format.Zero}, {Off: mib - 512, Len: 512}}},
}

// straddling lists n extents of a sector on each side of a block's border.
func straddling(n int64) []format.Extent {
	list := every(4*kib, kib, n*4*kib)
	for i := range list {
		list[i].Off += 4*kib - 512
	}
	return list
}

func zeroExtents(list []format.Extent) []format.Extent {
	for i := range list {
		list[i].Kind = format.Zero
	}
	return list
}

// The patch laid over garbage gives the source's data, and nothing else is
// touched, whatever the number of processors and the level.
func TestRun(t *testing.T) {
	for name, test := range runTests {
		t.Run(name, func(t *testing.T) {
			src := test.fake()
			for level, procs := range []int{1, 4} {
				setProcs(t, procs)
				checkRun(t, src, level)
			}
		})
	}
}

func setProcs(t *testing.T, n int) {
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func checkRun(t *testing.T, src *fakeSource, level int) {
	t.Helper()
	var patch bytes.Buffer
	var progress []int64
	o := Options{Level: level, Tool: "tool", ToolVersion: "v", Progress: func(n int64) {
		progress = append(progress, n)
	}}
	var report Report
	synctest.Test(t, func(t *testing.T) { // sees goroutines that stay behind
		var err error
		if report, err = Run(t.Context(), src.source(), &patch, o); err != nil {
			t.Fatal(err)
		}
	})
	volume := garbage(len(src.volume))
	segments := patchtest.LayOver(t, volume, bytes.NewReader(patch.Bytes()))
	if !bytes.Equal(volume, src.expected()) {
		t.Error("the patch does not give the source's data")
	}
	for _, s := range segments {
		checkSplit(t, src.volume, s)
	}
	checkReport(t, src, report, patch.Bytes())
	want := make([]int64, len(segments))
	done := int64(0)
	for i, s := range segments {
		for _, e := range s {
			done += e.Len
		}
		want[i] = done
	}
	if !slices.Equal(progress, want) {
		t.Errorf("progress was %d, want %d", progress, want)
	}
}

// checkSplit checks that a segment's extents are joined where they can be, and
// that its data hold no block of zeros.
func checkSplit(t testing.TB, volume []byte, extents []format.Extent) {
	t.Helper()
	for i, e := range extents {
		if i > 0 && e.Kind == extents[i-1].Kind && e.Off == extents[i-1].End() {
			t.Fatalf("%v and %v are not joined", extents[i-1], e)
		}
		for off := e.Off; e.Kind == format.Data && off < e.End(); {
			n := min(e.End()-off, refine.BlockSize-off%refine.BlockSize)
			if bytes.Count(volume[off:off+n], []byte{0}) == int(n) {
				t.Fatalf("%v holds zeros at %d", e, off)
			}
			off += n
		}
	}
}

func checkReport(t *testing.T, src *fakeSource, r Report, patch []byte) {
	t.Helper()
	h, totals, err := format.Verify(bytes.NewReader(patch))
	if err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	if h.ID != r.Header.ID || h.ID == uuid.Nil || h.Tool != "tool" || h.ToolVersion != "v" ||
		h.Host != host || h.Created.IsZero() || h.VolumeSize != int64(len(src.volume)) ||
		h.Source.Path != "/volume" {
		t.Errorf("header %+v", h)
	}
	if totals != r.Totals || r.PatchBytes != int64(len(patch)) {
		t.Errorf("report %+v of a patch of %d bytes with %+v", r, len(patch), totals)
	}
	plan, err := Plan(t.Context(), src.source())
	if err != nil || plan.Extents != int64(len(src.extents)) || plan.Bytes() != totals.Bytes() {
		t.Errorf("planned %+v, %v; dumped %+v", plan, err, totals)
	}
}

func TestPlan(t *testing.T) {
	src := runTests["zero extents"].fake().source()
	want := format.Totals{Extents: 3, DataBytes: mib, ZeroBytes: 2 * mib}
	if got, err := Plan(t.Context(), src); got != want || err != nil {
		t.Errorf("planned %+v, %v; want %+v", got, err, want)
	}
}

func TestOptions(t *testing.T) {
	for _, level := range []int{-1, format.MaxLevel + 1} {
		var patch bytes.Buffer
		if _, err := Run(t.Context(), runTests["one block"].fake().source(), &patch,
			Options{Level: level}); err == nil || patch.Len() > 0 {
			t.Errorf("level %d: %v, %d bytes", level, err, patch.Len())
		}
	}
}
