package devmapper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"lvmsync/format/storage/kernel"
)

// ErrNoLV means that LVM knows no such logical volume.
var ErrNoLV = errors.New("no such logical volume")

// LogicalVolume is what lvs says of a logical volume.
type LogicalVolume struct {
	VG, Name     string
	VGUUID, UUID string // as LVM prints them, with dashes
	// Attr is lvs's column of letters (see lvs(8)); the first is the kind of volume.
	Attr string
	// Origin and OriginUUID are those of a snapshot's origin, empty if it has none. The origin of a
	// thin snapshot may have been removed.
	Origin, OriginUUID string
	// Merging is true for a snapshot that is being merged into its origin, or will be as soon as
	// the origin is closed (nothing but lvs tells that), and for its origin. While a snapshot is
	// being merged, its Num is the origin's.
	Merging bool
	// SnapshotInvalid and MergeFailed are known of active thick snapshots only, and false for all
	// others.
	SnapshotInvalid, MergeFailed bool
	// Active is true if the volume has a device, whose number is Num.
	Active bool
	Num    kernel.DevNum
	// SegType is "linear" for a thick snapshot, too; a volume of several segments has that of the
	// first.
	SegType string
	// Size is the volume's size in bytes; for a thick snapshot, that of its COW store.
	Size int64
	// OriginSize is the size in bytes of a snapshot's or origin's volume, 0 for other volumes.
	OriginSize int64
	// ChunkSize is that of a thick snapshot or thin pool in bytes, 0 for other volumes.
	ChunkSize int64
	// Created is when the volume was made, to the second.
	Created time.Time
	// Pool is the thin pool of a thin volume.
	Pool string
}

// lvReport is the JSON that lvs prints. Every value is a string.
type lvReport struct {
	Report []struct {
		LV []lvRow `json:"lv"`
	} `json:"report"`
}

// lvRow is one segment of a logical volume; but for segtype and chunk_size, all of its rows are
// alike.
type lvRow struct {
	VGName          string `json:"vg_name"`
	LVName          string `json:"lv_name"`
	VGUUID          string `json:"vg_uuid"`
	LVUUID          string `json:"lv_uuid"`
	LVAttr          string `json:"lv_attr"`
	Origin          string `json:"origin"`
	OriginUUID      string `json:"origin_uuid"`
	ThinID          string `json:"thin_id"`
	LVMerging       string `json:"lv_merging"`
	SnapshotInvalid string `json:"lv_snapshot_invalid"`
	MergeFailed     string `json:"lv_merge_failed"`
	SegType         string `json:"segtype"`
	ChunkSize       string `json:"chunk_size"`
	OriginSize      string `json:"origin_size"`
	LVSize          string `json:"lv_size"`
	PoolLV          string `json:"pool_lv"`
	KernelMajor     string `json:"lv_kernel_major"`
	KernelMinor     string `json:"lv_kernel_minor"`
	Time            string `json:"lv_time"`
}

const lvFields = "vg_name,lv_name,vg_uuid,lv_uuid,lv_attr,origin,origin_uuid,lv_merging," +
	"lv_snapshot_invalid,lv_merge_failed,segtype,chunk_size,origin_size,lv_size,pool_lv," +
	"lv_kernel_major,lv_kernel_minor,lv_time"

// LV asks lvs for a logical volume, hidden ones included (a snapshot that is being merged is);
// [ErrNoLV] if there is none of that name. It is one call of lvs, which may take a second.
func LV(ctx context.Context, vg, lv string) (LogicalVolume, error) {
	return LVNamed(ctx, vg+"/"+lv)
}

// LVNamed is LV for a name in any form that lvs takes: "vg/lv", "/dev/vg/lv", "/dev/mapper/vg-lv".
// Of any other it isn't asked.
func LVNamed(ctx context.Context, name string) (LogicalVolume, error) {
	if !mayBeVolume(name) {
		return LogicalVolume{}, fmt.Errorf("%w: %s", ErrNoLV, name)
	}
	out, err := report(ctx, lvFields, "--", name)
	if failed := (*toolError)(nil); errors.As(err, &failed) {
		if errors.Is(err, fs.ErrPermission) || listed(ctx, name) {
			return LogicalVolume{}, fmt.Errorf("ask lvs for %s: %w", name,
				&toolError{reason: failed.reason, cause: failed.cause})
		}
		return LogicalVolume{}, fmt.Errorf("%w: %s", ErrNoLV, name)
	}
	if err != nil {
		return LogicalVolume{}, err
	}
	v, err := parseLV([]byte(out))
	if errors.Is(err, ErrNoLV) {
		return v, fmt.Errorf("%w: %s", err, name)
	}
	if err != nil {
		return v, fmt.Errorf("ask lvs for %s: %w", name, err)
	}
	return v, nil
}

// A VolumeID is by what LVM knows a logical volume whatever its name is.
type VolumeID struct {
	UUID, OriginUUID string // of the origin, if it has one
	ThinID           string // of a thin volume: its number in the pool
	VGUUID           string // of its volume group
}

// Volumes asks lvs for all logical volumes of a volume group, hidden ones included.
func Volumes(ctx context.Context, vg string) ([]VolumeID, error) {
	return volumes(ctx, "of "+vg, "--", vg)
}

// AllVolumes does that for all volume groups. Those that aren't there just now are not among them,
// and no error.
func AllVolumes(ctx context.Context) ([]VolumeID, error) { return volumes(ctx, "of all groups") }

func volumes(ctx context.Context, which string, args ...string) ([]VolumeID, error) {
	out, err := report(ctx, "lv_uuid,origin_uuid,thin_id,vg_uuid", args...)
	if err != nil {
		return nil, err
	}
	var report lvReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Report) != 1 {
		return nil, fmt.Errorf("ask lvs for the volumes %s: cannot make sense of its report", which)
	}
	var ids []VolumeID
	for _, r := range report.Report[0].LV {
		ids = append(ids, VolumeID{r.LVUUID, r.OriginUUID, r.ThinID, r.VGUUID})
	}
	return ids, nil
}

// listed tells whether a volume of that name is among all that there are, or that can't be told:
// lvs fails alike for a volume that isn't there and for one of which it can't tell all, and what it
// says of that is different each time.
func listed(ctx context.Context, name string) bool {
	selection := selectionOf(name)
	if selection == "" {
		return false
	}
	out, err := report(ctx, "lv_uuid", "-S", selection)
	if err != nil {
		return true
	}
	var report lvReport
	return json.Unmarshal([]byte(out), &report) != nil || len(report.Report) != 1 ||
		len(report.Report[0].LV) > 0
}

// selectionOf selects a volume by a name, empty if none can have it.
func selectionOf(name string) string {
	for _, c := range name {
		if !strings.ContainsRune("/+_.-", c) && (c < '0' || c > '9') && (c < 'a' || c > 'z') &&
			(c < 'A' || c > 'Z') {
			return ""
		}
	}
	if strings.HasPrefix(name, "/") {
		return fmt.Sprintf(`lv_path="%s" || lv_dm_path="%s"`, name, name)
	}
	vg, lv, _ := strings.Cut(name, "/")
	return fmt.Sprintf(`vg_name="%s" && lv_name="%s"`, vg, lv)
}

// plainConfig undoes whatever lvm.conf and profiles can do to what LVM prints. The log comes with
// the report: standard error may have anything.
const plainConfig = `report { output_format="json" columns_as_rows=0 prefixes=0 headings=1 ` +
	`quoted=1 aligned=1 buffered=1 separator=" " list_item_separator="," compact_output=0 ` +
	`compact_output_cols="" binary_values_as_numeric=1 mark_hidden_devices=1 ` +
	`two_word_unknown_device=0 time_format="%s" lvs_sort="vg_name,lv_name" ` +
	`segs_sort="vg_name,lv_name,seg_start" } ` +
	`log { prefix="" indent=0 command_names=0 verbose=0 silent=0 report_command_log=1 ` +
	`command_log_cols="log_type,log_message" command_log_sort="log_seq_num" ` +
	`command_log_selection="all" } ` +
	`global { units="b" suffix=0 si_unit_consistency=1 }`

// report asks lvs for fields of volumes.
func report(ctx context.Context, fields string, volumes ...string) (string, error) {
	args := []string{"-a", "--reportformat", "json", "--units", "b", "--nosuffix", "--binary",
		"--config", plainConfig, "-o", fields}
	return run(ctx, "lvs", append(args, volumes...)...)
}

// parseLV reads what lvs prints for one logical volume.
func parseLV(out []byte) (LogicalVolume, error) {
	var report lvReport
	if err := json.Unmarshal(out, &report); err != nil {
		return LogicalVolume{}, fmt.Errorf("its report: %w", err)
	}
	if len(report.Report) != 1 {
		return LogicalVolume{}, fmt.Errorf("%d reports, not one", len(report.Report))
	}
	rows := report.Report[0].LV
	if len(rows) == 0 {
		return LogicalVolume{}, ErrNoLV
	}
	for _, r := range rows {
		if r.LVUUID != rows[0].LVUUID {
			return LogicalVolume{}, errors.New("more than one logical volume")
		}
	}
	return rows[0].volume()
}

func (r lvRow) volume() (LogicalVolume, error) {
	var p fieldParser
	v := LogicalVolume{
		VG: r.VGName, Name: visible(r.LVName), VGUUID: r.VGUUID, UUID: r.LVUUID, Attr: r.LVAttr,
		Origin: visible(r.Origin), OriginUUID: r.OriginUUID, SegType: r.SegType,
		Pool:            visible(r.PoolLV),
		Merging:         p.flag("lv_merging", r.LVMerging),
		SnapshotInvalid: p.flag("lv_snapshot_invalid", r.SnapshotInvalid),
		MergeFailed:     p.flag("lv_merge_failed", r.MergeFailed),
		Size:            p.size("lv_size", r.LVSize),
		OriginSize:      p.size("origin_size", r.OriginSize),
		ChunkSize:       p.size("chunk_size", r.ChunkSize),
		Created:         p.time("lv_time", r.Time),
	}
	v.Active, v.Num = p.number(r.KernelMajor, r.KernelMinor)
	if p.err == nil && (v.VG == "" || v.Name == "" || v.UUID == "") {
		p.err = errors.New("a logical volume without a name")
	}
	if p.err != nil {
		return LogicalVolume{}, p.err
	}
	return v, nil
}

// visible strips the brackets that lvs puts around the name of a hidden volume.
func visible(name string) string {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		return strings.TrimSuffix(inner, "]")
	}
	return name
}

// fieldParser reads the fields of a row; an error sticks.
type fieldParser struct{ err error }

func (p *fieldParser) check(ok bool, name, text string) {
	if !ok {
		p.err = fmt.Errorf("cannot make sense of %s %q", name, text)
	}
}

// flag reads what --binary makes of yes and no; -1 is unknown, or does not apply.
func (p *fieldParser) flag(name, text string) bool {
	p.check(text == "1" || text == "0" || text == "-1", name, text)
	return text == "1"
}

// size reads a number of bytes; what does not apply is empty.
func (p *fieldParser) size(name, text string) int64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	p.check(err == nil && n >= 0, name, text)
	return max(n, 0)
}

// time reads a number of seconds since 1970; what is not known is empty.
func (p *fieldParser) time(name, text string) time.Time {
	if n := p.size(name, text); n > 0 {
		return time.Unix(n, 0).UTC()
	}
	return time.Time{}
}

// number reads a device number; without a device both parts are -1.
func (p *fieldParser) number(major, minor string) (bool, kernel.DevNum) {
	if major == "-1" && minor == "-1" {
		return false, kernel.DevNum{}
	}
	num, err := kernel.Parse(major + ":" + minor)
	p.check(err == nil, "device number", major+":"+minor)
	return err == nil, num
}
