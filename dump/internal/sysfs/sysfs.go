// Package sysfs says where the kernel tells of its devices.
package sysfs

// Root is where sysfs is mounted. A variable, so that tests can show devices that this machine does not have.
var Root = "/sys"
