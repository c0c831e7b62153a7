package e2e

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// Without sysfs nobody can tell whether a loop device of an image is in use: who writes to it has
// to know, who reads it is told.
func TestWithoutSysfs(t *testing.T) {
	for name, hide := range map[string]string{
		"not mounted": "umount --lazy --recursive /sys",
		"hidden":      "mount -t tmpfs tmpfs /sys",
		"half hidden": "mount -t tmpfs tmpfs /sys/block",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			without := func(program string, args ...string) (int, string) {
				script := hide + ` && exec "$@"`
				return run(b.T, nil, "unshare",
					append([]string{"--mount", "sh", "-c", script, "sh", program}, args...)...)
			}
			dev, _ := b.loop(b.image)
			b.mount(dev)
			before := mustRead(t, b.image)
			status, messages := without("lvmsync-apply", b.full, b.image)
			if status != 1 || !strings.Contains(messages, "error: find out whether the patch "+
				b.full+" lies on "+b.image+": sysfs is not mounted on /sys") ||
				!strings.Contains(messages, "hint: mount -t sysfs sysfs /sys\n") {
				t.Errorf("status %d: %s", status, messages)
			}
			wantOneError(t, "lvmsync-apply", messages)
			if !bytes.Equal(before, mustRead(t, b.image)) {
				t.Error("the image has changed")
			}
			patch := filepath.Join(b.dir, "patch")
			status, messages = without("lvmsync-dump", "--full", b.image, "-o", patch)
			if status != 0 || !strings.Contains(messages, "can't tell who uses "+b.image+
				": sysfs is not mounted on /sys") {
				t.Errorf("status %d: %s", status, messages)
			}
			status, messages = without("lvmsync-dump", "--full", dev, "-o", patch+"2")
			if status != 1 || !strings.Contains(messages, "sysfs is not mounted on /sys") ||
				!strings.Contains(messages, "hint: mount -t sysfs sysfs /sys\n") {
				t.Errorf("status %d: %s", status, messages)
			}
			status, messages = without("lvmsync-apply", "--force", b.full, b.image)
			if status != 0 || !strings.Contains(messages, "sysfs is not mounted on /sys") {
				t.Errorf("status %d: %s", status, messages)
			}
		})
	}
}

// Without proc, as in a chroot, it is said that this is what is missing.
func TestWithoutProc(t *testing.T) {
	b := newBench(t)
	before := mustRead(t, b.image)
	const missing = "proc is not mounted on /proc, so mounts and processes can't be seen\n"
	for message, args := range map[string][]string{
		"find out who uses " + b.image:     {"lvmsync-apply", b.full, b.image},
		"open " + b.image + " once more":   {"lvmsync-apply", "--force", b.full, b.image},
		"open " + b.dir + "/new once more": {"lvmsync-apply", "--create", b.full, b.dir + "/new"},

		"flush " + b.image:       {"lvmsync-dump", "--full", b.image, "-o", b.dir + "/patch"},
		"flush " + b.image + " ": {"lvmsync-patch", "signature", b.image},
	} {
		status, messages := run(t, nil, "unshare", append([]string{"--mount", "sh", "-c",
			`umount --lazy --recursive /proc && exec "$@"`, "sh"}, args...)...)
		if status != 1 ||
			!strings.Contains(messages, "error: "+strings.TrimSpace(message)+": "+missing) ||
			!strings.Contains(messages, "hint: mount -t proc proc /proc\n") {
			t.Errorf("%v: status %d: %s", args, status, messages)
		}
	}
	if !bytes.Equal(before, mustRead(t, b.image)) {
		t.Error("the image has changed")
	}
}
