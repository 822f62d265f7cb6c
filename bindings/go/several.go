// SPDX-License-Identifier: MIT

package pawl

// #include "bridge.h"
import "C"

import "strings"

// NewLockAll makes a Lock on 1 to 64 different names: it holds all of them or none, and the loss of one
// is the loss of all. Such Locks never wait for each other in a circle, whatever the order of their
// names. No I/O; errors come with the first acquisition: ErrNames (none, too many, or one of them twice),
// and those of NewLock. Name is the names with commas between them; Fence and Token are those of the
// first, see Fences.
func (c *Client) NewLockAll(names []string, opts *LockOptions) *Lock {
	l := c.NewLock(strings.Join(names, ", "), opts)
	l.names = append([]string{}, names...)
	return l
}

// Fences are the fencing tokens of a Lock by its names; nil if it is not held.
func (l *Lock) Fences() map[string]uint64 {
	l.mu.Lock() // keeps the handle from being freed meanwhile
	defer l.mu.Unlock()
	if l.held == nil {
		return nil
	}
	count := C.pawl_lock_count(l.held.ptr)
	fences := make(map[string]uint64, int(count))
	for i := C.size_t(0); i < count; i++ {
		part := C.pawl_lock_part(l.held.ptr, i)
		fences[C.GoString(C.pawl_lock_name(part))] = uint64(C.pawl_lock_fence(part))
	}
	return fences
}
