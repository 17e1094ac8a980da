//go:build !linux

package main

// free returns 0: the bytes that are free for the folder are not known.
func free(string) uint64 { return 0 }
