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
			if status != 1 || !strings.Contains(messages, "sysfs is not mounted on /sys") {
				t.Errorf("status %d: %s", status, messages)
			}
			wantOneError(t, "lvmsync-apply", messages)
			if !bytes.Equal(before, mustRead(t, b.image)) {
				t.Error("the image has changed")
			}
			patch := filepath.Join(b.dir, "patch")
			status, messages = without("lvmsync-dump", "--full", b.image, "-o", patch)
			if status != 0 || !strings.Contains(messages, "can't tell who uses "+b.image) ||
				!strings.Contains(messages, "sysfs is not mounted on /sys") {
				t.Errorf("status %d: %s", status, messages)
			}
			status, messages = without("lvmsync-dump", "--full", dev, "-o", patch+"2")
			if status != 1 || !strings.Contains(messages, "sysfs is not mounted on /sys") {
				t.Errorf("status %d: %s", status, messages)
			}
			status, messages = without("lvmsync-apply", "--force", b.full, b.image)
			if status != 0 || !strings.Contains(messages, "sysfs is not mounted on /sys") {
				t.Errorf("status %d: %s", status, messages)
			}
		})
	}
}
