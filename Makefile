# make          build the programs into ./bin
# make install  install them and their manual pages below PREFIX
# make demo     show the main job on a real snapshot (root; Debian, or a kernel with device-mapper)
# make test     run everything; installs what it needs (root, Debian)
# make bench    measure the programs beside others (root, Debian; 36 GiB in /var/tmp)
# make bench-scale  measure dumps of 4 GiB to 16 TiB (3 GiB in /var/tmp)

PREFIX  ?= /usr/local
DESTDIR ?=
PROGRAMS = lvmsync-dump lvmsync-apply lvmsync-patch
FUZZTIME ?= 6s

# cron, nohup and "env -i" leave little of an environment: what Go and the tests need of one is stated here.
export PATH := $(or $(PATH),/usr/local/bin:/usr/bin:/bin):/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin
export HOME ?= $(shell getent passwd "$$(id -u)" | cut -d: -f6)

.PHONY: all install demo test check unit guest lvm lvm-first lvm-second fuzz bench bench-scale microbench clean

# Without cgo: no library is needed at run time, as on a rescue disk, and the start is twice as fast.
all:
	CGO_ENABLED=0 go build -trimpath -o bin/ $(PROGRAMS:%=./cmd/%)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 755 $(PROGRAMS:%=bin/%) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(PROGRAMS:%=docs/%.8) $(DESTDIR)$(PREFIX)/share/man/man8

demo: all
	testdata/demo/run

test: check unit guest lvm fuzz

# What a machine can see in the sources.
check:
	testdata/prepare
	testdata/check

# A program with the race detector sleeps for a second before it ends, for what else might still run in it. Here each
# program is started hundreds of times, and what is never reached without that second can do no harm.
unit: all
	testdata/prepare
	GORACE=atexit_sleep_ms=0 go test -race -timeout 30m ./...
	go test -count 1 -run NoAllocation ./format ./dump

# The guest itself, then LVM in it, or on this machine where the kernel can.
guest:
	testdata/guest/selftest

# What hangs is told by the first of three limits that is there to tell it: the tests' own, which counts in the guest
# and comes last on the command line, the guest's, and that of go test, which counts from before the guest has started.
LVMTEST = LVMSYNC_GUEST_TIMEOUT=4200 go test -tags lvm -count 1 -p 1 -timeout 75m -exec $(CURDIR)/testdata/guest/run
LIMIT   = -args -test.timeout=60m
# What goes into the first of two guests, for about half of the time.
FIRST   = ^Test(Thin|Thick|To|Recipe|Killed|Power|Failing|Hostile|Clock)

# Half of them each in a guest of its own, for one keeps one core busy. What a half prints goes out at once: the other
# one may not end.
lvm:
	$(MAKE) --jobs=2 --output-sync=none lvm-first lvm-second

lvm-first:
	$(LVMTEST) -run '$(FIRST)|Like' ./dump/thin ./cmd/internal/lvmtest $(LIMIT)

lvm-second:
	$(LVMTEST) -skip '$(FIRST)' ./dump/blockdev ./format/storage ./dump/devmapper ./cmd/internal/lvmtest $(LIMIT)

fuzz:
	testdata/fuzz $(FUZZTIME)

# The programs beside what one would use instead: docs/performance.md.
bench: all
	testdata/bench/run

# Whether a dump's time and memory grow faster than what has changed.
bench-scale: all
	PATH=$(CURDIR)/bin:$$PATH go run ./testdata/bench/scale

# The hot paths, and a device that delays each read: docs/performance.md says how to compare two versions.
microbench:
	go test -run '^$$' -bench . ./...
	$(LVMTEST) -run '^$$' -bench . ./dump/thick/store

clean:
	rm -rf bin
