// Package format writes and reads lvmsync patches, format version 1.
//
// A patch says which extents of a volume hold which bytes. It is a sequence of
// zstd frames: a header in a skippable frame, any number of segments (one
// ordinary frame each), an index and a trailer (skippable frames again).
// docs/format.md is the specification; the comments here name its sections.
//
// A [Writer] compresses segments on all cores and writes them in order, a
// [Reader] reads them back from any stream, a [File] reads single segments of a
// patch that can be read at random, and [Verify] checks a whole patch. Nothing
// that a reader returns has not been checked first.
//
// The package knows nothing of devices or of LVM. Every patch of version 1 that
// was ever written stays readable; testdata/golden holds the proof.
//
// The packages below it have what goes beyond one patch: walk reads several as if they
// were one, volume reads at random what they leave, refine finds what a patch need not
// hold, salvage what is whole of a damaged one; sigfile is about signatures, container about
// files of other formats.
package format
