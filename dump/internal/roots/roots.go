// Package roots says where kernel and udev keep what they know of devices. Variables, so that tests can show devices that this
// machine does not have.
package roots

var (
	Sys = "/sys" // sysfs
	Dev = "/dev" // the devices' nodes
)
