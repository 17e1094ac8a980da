package main

import "syscall"

// free returns the bytes that are free for a folder, 0 when the system does
// not tell.
func free(folder string) uint64 {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return 0
	}
	return stat.Bavail * uint64(stat.Bsize) //nolint:gosec // the size of a block is positive
}
