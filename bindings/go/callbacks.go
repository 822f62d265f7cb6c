// SPDX-License-Identifier: MIT

package pawl

// #include <pawl/composed.h>
// #include <stdint.h>
import "C"

import (
	"sync"
	"time"
	"unsafe"
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
		a.decided <- Code(err) // has room: it comes once for an acquisition, then once for its release
	}
}

//export pawlgoUpgraded
func pawlgoUpgraded(id C.uintptr_t, err C.int) {
	if a, ok := registered(uintptr(id)).(*acquisition); ok {
		a.upgraded <- Code(err) // has room: whoever began it takes it out before another begins
	}
}

//export pawlgoSaid
func pawlgoSaid(id C.uintptr_t, err C.int) {
	if s, ok := registered(uintptr(id)).(interface{ answered(Code) }); ok {
		unregister(uintptr(id))
		s.answered(Code(err))
	}
}

//export pawlgoLeader
func pawlgoLeader(id C.uintptr_t, from *C.pawl_leader) {
	leader := Leader{
		Err:       codeOrNil(from.err),
		Leads:     bool(from.leads),
		Owner:     C.GoString(from.owner),
		Fence:     uint64(from.fence),
		Remaining: time.Duration(from.remaining_ms) * time.Millisecond,
	}
	if from.value != nil {
		leader.Value = C.GoBytes(unsafe.Pointer(from.value), C.int(from.value_len))
	}
	switch to := registered(uintptr(id)).(type) {
	case *Leader:
		*to = leader
	case chan Leader:
		tellLatest(to, leader)
	}
}

//export pawlgoEvent
func pawlgoEvent(id C.uintptr_t, kind, err C.int, remaining C.int64_t, message *C.char) {
	if a, ok := registered(uintptr(id)).(*acquisition); ok {
		a.happen(Event{
			Kind:      EventKind(kind),
			Err:       codeOrNil(err),
			Remaining: time.Duration(remaining) * time.Millisecond,
			Message:   C.GoString(message),
		})
	}
}

func codeOrNil(err C.int) error {
	if err == 0 {
		return nil
	}
	return Code(err)
}

//export pawlgoLog
func pawlgoLog(id C.uintptr_t, severity C.int, line *C.char) {
	if l, ok := registered(uintptr(id)).(*logger); ok {
		text := C.GoString(line)
		l.serial.run(func() { l.log(Severity(severity), text) })
	}
}

//export pawlgoInfo
func pawlgoInfo(id C.uintptr_t, from *C.pawl_info) {
	infos, ok := registered(uintptr(id)).(*[]Info)
	if !ok {
		return
	}
	*infos = append(*infos, Info{
		Name:      C.GoStringN(from.name, C.int(from.name_len)),
		Held:      bool(from.held),
		Foreign:   bool(from.foreign),
		Owner:     C.GoString(from.owner),
		Remaining: time.Duration(from.remaining_ms) * time.Millisecond,
		Fence:     uint64(from.fence),
		Waiters:   int(from.waiter_count),
		Queue:     queueOf(from),
		Mode:      Mode(from.mode),
		Capacity:  int(from.capacity),
		Holders:   int(from.holder_count),
		HeldBy:    holdersOf(from),
		Broken:    brokenOf(from),
	})
}

func holdersOf(from *C.pawl_info) []Holder {
	if from.holders_shown == 0 {
		return nil
	}
	shown := (*[C.PAWL_HOLDERS_SHOWN_MAX]C.pawl_holder_info)(unsafe.Pointer(from.holders))
	holders := make([]Holder, from.holders_shown)
	for i := range holders {
		holders[i] = Holder{
			Owner:     C.GoString(shown[i].owner),
			Remaining: time.Duration(shown[i].remaining_ms) * time.Millisecond,
			Fence:     uint64(shown[i].fence),
			Mode:      Mode(shown[i].mode),
			Units:     int(shown[i].units),
		}
	}
	return holders
}

func brokenOf(from *C.pawl_info) *Broken {
	if from.broken_by == nil {
		return nil
	}
	return &Broken{
		By:    C.GoString(from.broken_by),
		Ago:   time.Duration(from.broken_ms) * time.Millisecond,
		Fence: uint64(from.broken_fence),
	}
}

func queueOf(from *C.pawl_info) []Waiter {
	if from.waiters_shown == 0 {
		return nil
	}
	shown := (*[C.PAWL_WAITERS_SHOWN_MAX]C.pawl_waiter_info)(unsafe.Pointer(from.waiters))
	queue := make([]Waiter, from.waiters_shown)
	for i := range queue {
		queue[i] = Waiter{
			Owner:  C.GoString(shown[i].owner),
			Waited: time.Duration(shown[i].age_ms) * time.Millisecond,
			Place:  time.Duration(shown[i].place_ms) * time.Millisecond,
			Mode:   Mode(shown[i].mode),
			Units:  int(shown[i].units),
		}
	}
	return queue
}

//export pawlgoFinding
func pawlgoFinding(id C.uintptr_t, severity C.int, topic, text, advice *C.char) {
	if findings, ok := registered(uintptr(id)).(*[]Finding); ok {
		*findings = append(*findings, Finding{
			Severity: Severity(severity),
			Topic:    C.GoString(topic),
			Text:     C.GoString(text),
			Advice:   C.GoString(advice),
		})
	}
}
