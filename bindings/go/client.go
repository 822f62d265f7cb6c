// SPDX-License-Identifier: MIT

package pawl

// #cgo pkg-config: pawl pawl-config
// #include <stdlib.h>
// #include <unistd.h>
// #include <fcntl.h>
// #include "bridge.h"
//
// static int dup_cloexec(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, 0); }
import "C"

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Options of a client. The zero value, or nil, means the defaults.
type Options struct {
	// Owner is a label that people see beside the locks; default "user@host pid program".
	Owner string
	// ConnectTimeout bounds how long an acquisition waits for a store that does
	// not answer; default 5 s.
	ConnectTimeout time.Duration
}

// Client is one store, one connection, any number of locks. Safe for concurrent use.
type Client struct {
	mu     sync.RWMutex // held for reading while ptr is in use, for writing to close
	ptr    *C.pawl_client
	closed bool
	owner  string
	url    string

	fd       *os.File // readable while callbacks wait
	stopping int32    // atomic
	pumped   chan struct{}

	held sync.Map // *acquisition: all that may hold something
}

// Open opens a client on the store at url, for example "redis://127.0.0.1",
// "sqlite:/var/lib/app/locks.db", "memory:". "": $PAWL_STORE, or the default SQLite
// file. It does not wait for the store: the first acquisition does.
func Open(url string, opts *Options) (*Client, error) { return open(url, false, opts) }

// OpenConfig opens a client on the store that a Beego application's configuration
// chooses: see pawl/config.h. "": conf/app.conf, or conf/$BEEGO_RUNMODE.app.conf.
func OpenConfig(path string, opts *Options) (*Client, error) { return open(path, true, opts) }

func open(target string, fromConfig bool, opts *Options) (*Client, error) {
	if opts == nil {
		opts = &Options{}
	}
	var cTarget, cOwner *C.char
	if target != "" {
		cTarget = C.CString(target)
		defer C.free(unsafe.Pointer(cTarget))
	}
	if opts.Owner != "" {
		cOwner = C.CString(opts.Owner)
		defer C.free(unsafe.Pointer(cOwner))
	}
	config := C.int(0)
	if fromConfig {
		config = 1
	}
	message := (*C.char)(C.calloc(1, C.PAWL_MESSAGE_MAX))
	defer C.free(unsafe.Pointer(message))
	c := &Client{pumped: make(chan struct{})}
	code := C.pawlgo_open(cTarget, config, cOwner, C.int64_t(milliseconds(opts.ConnectTimeout)),
		&c.ptr, message)
	if code != 0 {
		return nil, &Error{Op: "open", Err: Code(code), Message: C.GoString(message)}
	}
	c.owner = C.GoString(C.pawl_client_owner(c.ptr))
	c.url = C.GoString(C.pawl_client_url(c.ptr))
	if err := c.startPump(); err != nil {
		C.pawl_client_close(c.ptr)
		return nil, &Error{Op: "open", Err: ErrSystem, Message: err.Error()}
	}
	return c, nil
}

// The pump. One goroutine waits, through Go's own poller, for the client's
// descriptor and runs the callbacks; it occupies no thread while nothing happens.
func (c *Client) startPump() error {
	fd := C.dup_cloexec(C.pawl_client_fd(c.ptr)) // os.File closes what it is given
	if fd < 0 {
		return os.NewSyscallError("dup", syscall.EMFILE)
	}
	if err := syscall.SetNonblock(int(fd), true); err != nil { // so that it is polled
		C.close(fd)
		return err
	}
	c.fd = os.NewFile(uintptr(fd), "pawl")
	conn, err := c.fd.SyscallConn()
	if err != nil {
		c.fd.Close()
		return err
	}
	go func() {
		defer close(c.pumped)
		// Read calls the function again whenever the descriptor becomes readable,
		// until it says true or the file is closed.
		_ = conn.Read(func(uintptr) bool {
			for C.pawl_client_dispatch(c.ptr) > 0 { // the poller tells of edges: leave nothing
			}
			return atomic.LoadInt32(&c.stopping) != 0
		})
	}()
	return nil
}

// Close releases every lock and frees the client. Those who wait get ErrClosed,
// those who hold are told through Lost. Closing twice is allowed.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()

	atomic.StoreInt32(&c.stopping, 1)
	c.fd.Close()
	<-c.pumped
	c.held.Range(func(key, _ interface{}) bool { // before anybody else can have it
		key.(*acquisition).lose(ErrClosed)
		return true
	})
	C.pawl_client_close(c.ptr) // runs the callbacks that are left
	c.mu.Lock()
	c.ptr = nil
	c.mu.Unlock()
	return nil
}

// use keeps the client open until done is called.
func (c *Client) use() (done func(), err error) {
	c.mu.RLock()
	if c.closed {
		c.mu.RUnlock()
		return nil, ErrClosed
	}
	return c.mu.RUnlock, nil
}

// Owner is the client's label as others see it.
func (c *Client) Owner() string { return c.owner }

// URL is the store's URL without its password.
func (c *Client) URL() string { return c.url }

// fail makes an Error, with the store's words if the store is to blame.
func (c *Client) fail(op, name string, err error) error {
	e := &Error{Op: op, Name: name, Err: err}
	code, ok := err.(Code)
	if !ok || !code.storeKnows() {
		return e
	}
	done, closed := c.use()
	if closed != nil {
		return e
	}
	defer done()
	message := (*C.char)(C.calloc(1, C.PAWL_MESSAGE_MAX))
	defer C.free(unsafe.Pointer(message))
	C.pawl_client_message(c.ptr, message)
	e.Message = C.GoString(message)
	return e
}

// Info is a lock as its store sees it.
type Info struct {
	Held      bool
	Foreign   bool          // held by a client that is not pawl
	Owner     string        // the holder's label
	Remaining time.Duration // until the lease expires; negative: never
	Fence     uint64        // of the present or the last holder
	Waiters   int
}

// Inspect reports one lock, also a free one. The context's deadline, at most a
// minute ahead, bounds the wait; its cancellation does not shorten it.
func (c *Client) Inspect(ctx context.Context, name string) (Info, error) {
	if err := ctx.Err(); err != nil {
		return Info{}, c.fail("inspect", name, err)
	}
	wait := time.Minute
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		wait = time.Until(deadline)
	}
	done, err := c.use()
	if err != nil {
		return Info{}, c.fail("inspect", name, err)
	}
	cName := C.CString(name)
	defer C.free(unsafe.Pointer(cName))
	var info Info
	id := register(&info)
	code := C.pawlgo_inspect(c.ptr, cName, C.size_t(len(name)), C.int64_t(milliseconds(wait)),
		C.uintptr_t(id))
	unregister(id)
	done()
	if code != 0 {
		return Info{}, c.fail("inspect", name, Code(code))
	}
	return info, nil
}

// milliseconds rounds away from 0: a wait of 1 ns is a wait, a negative ttl an error.
func milliseconds(d time.Duration) int64 {
	if d < 0 {
		return int64((d - time.Millisecond + 1) / time.Millisecond)
	}
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
