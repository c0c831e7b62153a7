package patchcmd

import "lvmsync/format"

// maxCells bounds the memory that a map takes.
const maxCells = 1 << 16

// A volumeMap counts, for each of the cells that a volume is cut into, how many of its bytes are in
// extents.
type volumeMap struct {
	size  int64   // of the volume
	bytes []int64 // of each cell
	at    int     // the cell where the last extent ended
}

// newVolumeMap cuts a volume into cells, as equal as can be: fewer than asked for if it has no more
// sectors.
func newVolumeMap(size int64, cells int) *volumeMap {
	sectors := (size-1)/format.SectorSize + 1
	return &volumeMap{size: size, bytes: make([]int64, min(int64(cells), sectors))}
}

// start is the first byte of a cell; of the one behind the last, the volume's end.
func (m *volumeMap) start(i int) int64 {
	cells := int64(len(m.bytes))
	return m.size/cells*int64(i) + m.size%cells*int64(i)/cells
}

// length is that of a cell in bytes.
func (m *volumeMap) length(i int) int64 { return m.start(i+1) - m.start(i) }

// add counts an extent. Extents must ascend, as they do in a patch.
func (m *volumeMap) add(e format.Extent) {
	for e.Len > 0 {
		for m.start(m.at+1) <= e.Off {
			m.at++
		}
		n := min(e.Len, m.start(m.at+1)-e.Off)
		m.bytes[m.at] += n
		e.Off, e.Len = e.Off+n, e.Len-n
	}
}

// String is the map in one line with a character for each cell.
func (m *volumeMap) String() string {
	line := make([]rune, len(m.bytes))
	for i, n := range m.bytes {
		line[i] = shade(n, m.length(i))
	}
	return string(line)
}

// shade is darker the more of a cell is meant. Nothing and all of it look like nothing else.
func shade(part, whole int64) rune {
	switch {
	case part <= 0:
		return ' '
	case part >= whole:
		return '█'
	}
	shades := []rune("░▒▓")
	return shades[min(int(float64(part)/float64(whole)*float64(len(shades))), len(shades)-1)]
}

// A cell is a part of the map for programs.
type cell struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
	Bytes  int64 `json:"bytes"`
}

func (m *volumeMap) cells() []cell {
	var cells []cell
	for i, n := range m.bytes {
		cells = append(cells, cell{m.start(i), m.length(i), n})
	}
	return cells
}
