// Package e2e tests the programs from their command lines to the bytes of the destination, as far
// as that needs no LVM: on image files, through pipes and a real sshd. What needs LVM is in package
// lvmtest.
package e2e
