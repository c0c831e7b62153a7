package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// carried is a bench, and what a recipe that carries patches has to bring back: noise of 4 MiB.
type carried struct {
	*bench
	source string
	want   []byte
}

func newCarried(t *testing.T) *carried {
	t.Helper()
	b := newBench(t)
	source := filepath.Join(b.dir, "elsewhere")
	return &carried{b, source, mustRead(t, source)}
}

// wantBack has a recipe apply to an image what was carried.
func (c *carried) wantBack(name string, args ...string) {
	c.Helper()
	back := filepath.Join(c.dir, "back")
	mustWrite(c.T, back, make([]byte, len(c.want)))
	c.recipe(0, "", name, append(args, back)...)
	if !bytes.Equal(mustRead(c.T, back), c.want) {
		c.Errorf("%s %q brought other bytes", name, args)
	}
}

// wantRefused has a recipe refuse what was damaged before it writes anything.
func (c *carried) wantRefused(name string, args ...string) {
	c.Helper()
	dest, before := filepath.Join(c.dir, "dest"), make([]byte, len(c.want))
	mustWrite(c.T, dest, before)
	c.recipe(4, "lvmsync-apply: error: ", name, append(args, dest)...)
	if !bytes.Equal(mustRead(c.T, dest), before) {
		c.Errorf("%s %q wrote something", name, args)
	}
}

// wantOnly wants these names in a folder, and no others.
func (c *carried) wantOnly(folder string, want ...string) {
	c.Helper()
	var got []string
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if err != nil || !slices.Equal(got, want) {
		c.Errorf("%s has %q, want %q; %v", folder, got, want, err)
	}
}

// What age encrypted comes back; a dump that fails leaves nothing, and of what is damaged, cut or
// for other keys nothing is written.
func TestRecipeEncrypted(t *testing.T) {
	c, keys, folder := newCarried(t), t.TempDir(), t.TempDir()
	key, other, public, file := keys+"/key", keys+"/other", keys+"/public", folder+"/0.age"
	for _, k := range []string{key, other} {
		c.sh("age-keygen", "-o", k)
	}
	c.sh("age-keygen", "-y", "-o", public, key)
	c.recipe(1, "", "encrypted", "dump", public, file, "--full", c.source+".none")
	c.wantOnly(folder)
	c.recipe(0, "", "encrypted", "dump", public, file, "--full", c.source)
	c.recipe(1, "is there already", "encrypted", "dump", public, file, "--full", c.source)
	c.wantOnly(folder, "0.age")
	c.wantBack("encrypted", "apply", key, file)
	c.wantRefused("encrypted", "apply", other, file)

	whole := mustRead(t, file)
	for _, damaged := range [][]byte{whole[:len(whole)-70000],
		append(slices.Clone(whole[:len(whole)/2]), make([]byte, len(whole)-len(whole)/2)...)} {
		mustWrite(t, file, damaged)
		c.wantRefused("encrypted", "apply", key, file)
	}
}

// Parts on a real FAT come back; a part that is missing is noticed before anything is written.
func TestRecipeParts(t *testing.T) {
	c, dir := newCarried(t), t.TempDir()
	t.Setenv("PART_SIZE", "500K")
	c.recipe(1, "", "parts", "dump", dir+"/0", "--full", c.source+".none")
	c.wantOnly(dir)
	c.recipe(0, "", "parts", "dump", dir+"/0", "--full", c.source)
	c.recipe(1, "is there already", "parts", "dump", dir+"/0", "--full", c.source)
	c.wantOnly(dir, "0")

	// By mtools, for not every kernel knows FAT.
	disk := c.dir + "/fat"
	c.sh("truncate", "-s", "40M", disk)
	c.sh("mkfs.vfat", "-F", "32", disk)
	c.sh("mcopy", "-s", "-i", disk, dir+"/0", "::")
	c.sh("fsck.vfat", "-n", disk)
	c.sh("rm", "-r", dir+"/0")
	c.sh("mcopy", "-s", "-n", "-i", disk, "::/0", dir)
	parts, err := filepath.Glob(dir + "/0/*")
	if err != nil || len(parts) != 9 {
		t.Fatalf("parts %q, %v", parts, err)
	}
	c.wantBack("parts", "apply", dir+"/0")
	for _, missing := range []int{0, 4, 8} {
		content := mustRead(t, parts[missing])
		c.sh("rm", parts[missing])
		c.wantRefused("parts", "apply", dir+"/0")
		mustWrite(t, parts[missing], content)
	}
}

// An archive in an object store is written, listed, looked into, and restored.
func TestRecipeRemote(t *testing.T) {
	c, store, config := newCarried(t), t.TempDir(), t.TempDir()+"/rclone.conf"
	mustWrite(t, config, []byte("[store]\ntype = alias\nremote = "+store+"\n"))
	t.Setenv("RCLONE_CONFIG", config)
	c.recipe(1, "", "to-remote", "store:lv/0.lvmpatch", "--full", c.source+".none")
	c.recipe(1, "to-remote: ", "to-remote", "nowhere:lv/0.lvmpatch", "--full", c.image)
	c.recipe(0, "", "to-remote", "store:lv/0.lvmpatch", "--full", c.image)
	c.recipe(1, "is there already", "to-remote", "store:lv/0.lvmpatch", "--full", c.source)
	mustWrite(t, c.image, c.want)
	c.recipe(0, "", "to-remote", "store:lv/1.lvmpatch", "--base", store+"/lv", c.image)
	c.wantOnly(store+"/lv", "0.lvmpatch", "1.lvmpatch")

	c.recipe(0, "", "on-remote", "store:lv", "lvmsync-patch", "list", "--check", ".")
	sum := c.recipe(0, "", "on-remote", "store:lv", "with-state", ".", "sha256sum")
	if want := c.sh("sha256sum", c.source); !strings.HasPrefix(sum, strings.Fields(want)[0]) {
		t.Error("the newest state is another")
	}
	c.wantBack("on-remote", "store:lv", "lvmsync-apply", ".")
	c.recipe(3, "", "on-remote", "store:lv", "sh", "-c", "exit 3")
	c.recipe(1, "", "on-remote", "nowhere:lv", "true")
}

// A disk that is plugged in is written to and unmounted; without it nothing is run.
func TestRecipeOnDisk(t *testing.T) {
	c := newCarried(t)
	// What a loop device had a moment ago is no longer there: others take it.
	t.Setenv("BLKID_FILE", "/dev/null")
	const id = "2f9d7f3e-8a55-4f0c-9b0a-6a1f6f5f7c11"
	write := []string{"UUID=" + id, "lvmsync-dump", "--full", c.source, "-o", "0.lvmpatch"}
	c.recipe(1, "is the disk plugged in?", "on-disk", write...)
	if _, err := os.Stat("0.lvmpatch"); err == nil {
		t.Error("it was written elsewhere")
	}

	disk := c.dir + "/usb"
	c.sh("truncate", "-s", "64M", disk)
	c.sh("mkfs.ext4", "-q", "-F", "-U", id, "-L", "lvmsync-e2e", disk)
	_, done := c.loop(disk)
	c.recipe(0, "may be unplugged", "on-disk", write...)
	c.recipe(1, "may be unplugged", "on-disk", "UUID="+id, "false")
	done()
	c.recipe(1, "is the disk plugged in?", "on-disk", write...)
	dev, _ := c.loop(disk)
	c.sh("e2fsck", "-fn", dev)
	c.wantBack("on-disk", "LABEL=lvmsync-e2e", "lvmsync-apply", "0.lvmpatch")
}
