// Package lvmtest tests the programs on real LVM volumes. Its tests have the build tag lvm and need
// root, device-mapper and disks to play with, named in LVMSYNC_TEST_DISKS: testdata/guest/run gives
// them all of that.
//
//	go test -tags lvm -exec $PWD/testdata/guest/run ./cmd/internal/lvmtest
package lvmtest
