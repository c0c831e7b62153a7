package format

import "io"

// Recognize tells from its beginning and end whether a file or device holds a patch or a
// signature, be it damaged or cut off anywhere else: "patch", "signature", or nothing.
// The size is in bytes.
func Recognize(r io.ReaderAt, size int64) string {
	head := make([]byte, 16)
	n, _ := r.ReadAt(head, 0)
	if head = head[:n]; n > frameHeaderSize {
		switch string(head[frameHeaderSize:]) {
		case headerMagic:
			return "patch"
		case signatureMagic:
			return "signature"
		}
	}
	switch {
	case n >= 4 && n < 16 && le.Uint32(head) == skippableMagic: // next to nothing is left of it
		return "patch"
	case endsInTrailer(r, size):
		return "patch"
	case hasSignatureEnd(r, size):
		return "signature"
	}
	return ""
}

// hasSignatureEnd tells whether the trailer of a signature is at the end.
func hasSignatureEnd(r io.ReaderAt, size int64) bool {
	b := make([]byte, 16)
	if size < signatureEndSize {
		return false
	}
	n, _ := r.ReadAt(b, size-signatureEndSize)
	return n == len(b) && le.Uint32(b) == skippableMagic && string(b[frameHeaderSize:]) == signatureEndMagic
}
