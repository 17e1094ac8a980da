package main

import "syscall"

// free returns the bytes that are free for a folder of this machine.
func free(folder string) (int64, bool) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return 0, false
	}
	return int64(stat.Bavail) * stat.Bsize, true //nolint:gosec // disks are smaller
}
