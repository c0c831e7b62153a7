package devmapper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"lvmsync/format/storage/kernel"
)

func TestResolve(t *testing.T) {
	node, _ := blockNode(t)
	dev := fakeDev(t)
	link(t, node, filepath.Join(dev, "vg", "lv"))
	link(t, node, filepath.Join(dev, "my-vg", "st.snap+x_1"))
	link(t, node, filepath.Join(dev, "mapper", "my--vg-lv"))
	link(t, "/dev/null", filepath.Join(dev, "input", "mice"))
	t.Chdir(t.TempDir())
	for _, file := range []string{"image", "vg/lv", "input/mice", "sub/image"} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	onlyPath(t, "") // nothing has to be asked
	for name, want := range map[string]string{
		"vg/lv":                   dev + "/vg/lv", // the volume, although there is a file, too
		"./vg/lv":                 "./vg/lv",
		"my-vg/st.snap+x_1":       dev + "/my-vg/st.snap+x_1",
		dev + "/vg/lv":            dev + "/vg/lv",
		dev + "/mapper/my--vg-lv": dev + "/mapper/my--vg-lv",
		node:                      node,
		"image":                   "image",
		"./image":                 "./image",
		"sub/image":               "sub/image",
		"sub/../image":            "sub/../image",
		"input/mice":              "input/mice", // no block device in /dev
	} {
		if got, err := Resolve(context.Background(), name); got != want || err != nil {
			t.Errorf("Resolve(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestResolveNothing(t *testing.T) {
	dev := fakeDev(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"my-vg/nosuch":            "no-lv",
		"no-vg/lv":                "no-vg",
		dev + "/my-vg/nosuch":     "no-lv",
		dev + "/disk/by-id/x":     "no-path",
		"image":                   "",
		"./my-vg/nosuch":          "",
		"../no-such-thing":        "",
		"/no/such/file":           "",
		"":                        "",
		dev + "nosuch":            "",
		"a/b/c":                   "",
		"a//":                     "",
		"my-vg/":                  "",
		"file/x/y":                "",
		filepath.Dir(dev) + "/xy": "",
	} {
		if file != "" {
			fakeNoLV(t, captured(t, file+".json"), captured(t, file+".err"))
		} else {
			fakeTool(t, "lvs", "", "must not be asked", "5")
		}
		got, err := Resolve(context.Background(), name)
		if !errors.Is(err, ErrNotFound) || errors.Is(err, ErrInactive) || got != "" {
			t.Errorf("Resolve(%q) = %q, %v; want ErrNotFound", name, got, err)
			continue
		}
		if want := "no such logical volume, device or file: " + name; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
	}
}

func TestResolveInactive(t *testing.T) {
	dev := fakeDev(t)
	t.Chdir(t.TempDir())
	for _, tt := range []struct{ name, file, want string }{
		{"my-vg/idle", "inactive",
			`logical volume my-vg/idle is not active: activate it with "lvchange -ay my-vg/idle"`},
		{dev + "/my-vg/idle", "inactive",
			`logical volume my-vg/idle is not active: activate it with "lvchange -ay my-vg/idle"`},
		{"my-vg/idle-snap", "inactive-snapshot",
			`logical volume my-vg/idle-snap is not active: ` +
				`activate it with "lvchange -ay my-vg/idle"`},
		{dev + "/mapper/my--vg-idle--snap", "inactive-by-mapper-name",
			`logical volume my-vg/idle-snap is not active: ` +
				`activate it with "lvchange -ay my-vg/idle"`},
		{"my-vg/t-s", "thin-snapshot",
			`logical volume my-vg/t-s is not active: activate it with "lvchange -ay -K my-vg/t-s"`},
	} {
		fakeTool(t, "lvs", captured(t, tt.file+".json"), "", "0")
		_, err := Resolve(context.Background(), tt.name)
		if !errors.Is(err, ErrInactive) || errors.Is(err, ErrNotFound) || err.Error() != tt.want {
			t.Errorf("Resolve(%s): error %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestResolveActiveWithoutNode(t *testing.T) {
	fakeDev(t)
	t.Chdir(t.TempDir())
	fakeTool(t, "lvs", captured(t, "snapshot.json"), "", "0")
	_, err := Resolve(context.Background(), "my-vg/s-1")
	checkError(t, err, `logical volume my-vg/s-1 is active, but has no node in `+kernel.Dev+
		`: try "vgmknodes my-vg"`)
}

// Another program may activate it while LVM is asked.
func TestResolveActivatedMeanwhile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may make a device's node")
	}
	fakeDev(t)
	t.Chdir(t.TempDir())
	v, err := parseLV([]byte(captured(t, "snapshot.json")))
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(kernel.Dev, "my-vg")
	fakeTool(t, "lvs", captured(t, "snapshot.json"), "", fmt.Sprintf("$(/bin/mkdir -p %s; "+
		"/bin/mknod %s/s-1 b %d %d)0", folder, folder, v.Num.Major, v.Num.Minor))
	if path, err := Resolve(context.Background(), "my-vg/s-1"); err != nil ||
		path != folder+"/s-1" {
		t.Errorf("Resolve: %q, %v", path, err)
	}
}

// That nothing is there cannot be told for sure when LVM cannot be asked.
func TestResolveWithoutAnswer(t *testing.T) {
	fakeDev(t)
	t.Chdir(t.TempDir())
	fakeTool(t, "lvs", "", captured(t, "not-root.err"), "5")
	_, err := Resolve(context.Background(), "my-vg/s-1")
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v is not ErrNotFound", err)
	}
	checkError(t, err,
		"no such logical volume, device or file: my-vg/s-1 (nor could LVM be asked: "+
			"ask lvs for my-vg/s-1: /dev/mapper/control: open failed: Permission denied)")

	onlyPath(t, "")
	_, err = Resolve(context.Background(), "my-vg/s-1")
	if !errors.Is(err, ErrNotFound) || !errors.Is(err, ErrNoTool) {
		t.Errorf("error %v is not ErrNotFound and ErrNoTool", err)
	}
	checkError(t, err, "lvs not found on the PATH")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fakeTool(t, "lvs", "", "", "0")
	if _, err = Resolve(ctx, "my-vg/s-1"); !errors.Is(err, context.Canceled) ||
		errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want context.Canceled alone", err)
	}
}

func TestResolveOtherErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	link(t, "circle", "circle")
	_, err := Resolve(context.Background(), "circle")
	if errors.Is(err, ErrNotFound) {
		t.Error("error is ErrNotFound")
	}
	checkError(t, err, "circle: too many levels of symbolic links")
}

// What LVM makes volumes of is told from volumes, active or not.
func TestResolveInner(t *testing.T) {
	dev := fakeDev(t)
	t.Chdir(t.TempDir())
	pool := captured(t, "pool.json")
	for _, tt := range []struct{ report, want string }{
		{pool, "my-vg/po-ol is a thin pool: name a thin snapshot"},
		{edit(t, edit(t, pool, `"twi-aotz--"`, `"ewi-ao----"`), `"thin-pool"`, `"linear"`),
			"my-vg/po-ol is metadata of a pool or RAID volume, or the spare for them: " +
				"name the volume"},
		{edit(t, edit(t, pool, `"twi-aotz--"`, `"Cwi---C---"`), `"thin-pool"`, `"cache-pool"`),
			"my-vg/po-ol is a cache: name the volume"},
	} {
		fakeTool(t, "lvs", tt.report, "", "0")
		_, err := Resolve(context.Background(), "my-vg/po-ol")
		checkError(t, err, tt.want)
		if inner := (*InnerError)(nil); !errors.As(err, &inner) {
			t.Errorf("error %v is no InnerError", err)
		}
	}
	cached := LogicalVolume{Attr: "Cwi-a-C---", SegType: "cache"}
	if err := cached.CheckInner(); err != nil {
		t.Errorf("a cached volume: %v", err)
	}

	node, num := blockNode(t)
	noSys(t)
	if err := os.MkdirAll(filepath.Join(num.Dir(), "dm"), 0o700); err != nil {
		t.Fatal(err)
	}
	link(t, node, filepath.Join(dev, "group", "lv"))
	for _, name := range []string{"group", dev + "/group"} {
		_, err := Resolve(context.Background(), name)
		checkError(t, err, name+" is a volume group: name a volume in it")
	}
}

// LVM is asked about what may be a volume of its own, not about disks, partitions and loop
// devices that are missing.
func TestMayBeVolume(t *testing.T) {
	for name, want := range map[string]bool{
		"vg/lv": true, "/dev/vg/lv": true, "/dev/mapper/vg-lv": true,
		"/dev/loop0p1": false, "/dev/sdb": false,
		"/dev/disk/by-id/x": false, "/srv/vg/lv": false,
	} {
		if got := mayBeVolume(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
