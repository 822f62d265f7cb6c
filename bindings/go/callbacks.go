// SPDX-License-Identifier: MIT

package pawl

// #include <pawl/pawl.h>
// #include <stdint.h>
import "C"

import (
	"sync"
	"time"
)

// C is given numbers instead of Go's pointers. A number that is not (any more)
// here belongs to an acquisition that has ended; its callback is ignored.
var registry struct {
	sync.Mutex
	last uintptr
	all  map[uintptr]interface{}
}

func register(thing interface{}) uintptr {
	registry.Lock()
	defer registry.Unlock()
	if registry.all == nil {
		registry.all = make(map[uintptr]interface{})
	}
	registry.last++
	registry.all[registry.last] = thing
	return registry.last
}

func unregister(id uintptr) {
	registry.Lock()
	defer registry.Unlock()
	delete(registry.all, id)
}

func registered(id uintptr) interface{} {
	registry.Lock()
	defer registry.Unlock()
	return registry.all[id]
}

//export pawlgoDone
func pawlgoDone(id C.uintptr_t, err C.int) {
	if a, ok := registered(uintptr(id)).(*acquisition); ok {
		a.decided <- Code(err) // has room: it comes once
	}
}

//export pawlgoEvent
func pawlgoEvent(id C.uintptr_t, kind, err C.int, message *C.char) {
	a, ok := registered(uintptr(id)).(*acquisition)
	if !ok {
		return
	}
	switch kind {
	case C.PAWL_EVENT_LOST:
		a.lose(&Error{Op: "hold", Name: a.name, Err: Code(err), Message: C.GoString(message)})
	case C.PAWL_EVENT_YIELD:
		select {
		case a.wanted <- struct{}{}:
		default:
		}
	}
}

//export pawlgoInfo
func pawlgoInfo(id C.uintptr_t, from *C.pawl_info) {
	info, ok := registered(uintptr(id)).(*Info)
	if !ok {
		return
	}
	*info = Info{
		Held:      bool(from.held),
		Foreign:   bool(from.foreign),
		Owner:     C.GoString(from.owner),
		Remaining: time.Duration(from.remaining_ms) * time.Millisecond,
		Fence:     uint64(from.fence),
		Waiters:   int(from.waiter_count),
	}
}
