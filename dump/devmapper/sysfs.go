package devmapper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"lvmsync/dump/internal/roots"
)

// slaves are the devices that a device stands on, as sysfs has them.
func (n DevNum) slaves() ([]DevNum, error) {
	dir := filepath.Join(n.sysDir(), "slaves")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var nums []DevNum
	for _, e := range entries {
		num, err := readDevNum(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		nums = append(nums, num)
	}
	return nums, nil
}

// ByUUID finds the device with that UUID; [ErrNotDM] if there is none. It asks the kernel, not dmsetup.
func ByUUID(uuid string) (DevNum, error) {
	entries, err := os.ReadDir(filepath.Join(roots.Sys, "dev", "block"))
	if err != nil {
		return DevNum{}, fmt.Errorf("find the device %s: %w", uuid, err)
	}
	for _, e := range entries {
		if num, err := parseDevNum(e.Name()); err == nil && num.uuid() == uuid {
			return num, nil
		}
	}
	return DevNum{}, fmt.Errorf("%w: there is none with the UUID %s", ErrNotDM, uuid)
}

func (n DevNum) uuid() string { return n.attribute("dm/uuid") }

// label names a device of device-mapper.
func (n DevNum) label() string {
	if name := n.attribute("dm/name"); name != "" {
		return name
	}
	return n.Path()
}

// attribute is a line of sysfs; "" if there is none.
func (n DevNum) attribute(name string) string {
	text, _ := os.ReadFile(filepath.Join(n.sysDir(), name))
	return strings.TrimSpace(string(text))
}

func readDevNum(dir string) (DevNum, error) {
	text, err := os.ReadFile(filepath.Join(dir, "dev"))
	if err != nil {
		return DevNum{}, err
	}
	return parseDevNum(strings.TrimSpace(string(text)))
}

func readNumber(path string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 54)
}
