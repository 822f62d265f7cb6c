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
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Options of a client. The zero value, or nil, means the defaults.
type Options struct {
	// Owner is a label that people see beside the locks that have none of their own; default
	// "user@host pid program".
	Owner string
	// ConnectTimeout bounds how long an acquisition waits for a store that does
	// not answer; default 5 s.
	ConnectTimeout time.Duration
}

// Client is one store, one connection, any number of locks. Safe for concurrent use.
type Client struct {
	ptr    *C.pawl_client
	keeper *C.pawl_lock // never acquired: a client that has a handle left stays valid when closed
	owner  string
	url    string

	mu      sync.Mutex
	closed  bool           // by mu
	users   sync.WaitGroup // calls that use ptr
	closing chan struct{}  // closed by Close

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
	if strings.IndexByte(opts.Owner, 0) >= 0 {
		return nil, &Error{Op: "open", Err: ErrOwner}
	}
	message := newMessage()
	defer C.free(unsafe.Pointer(message))
	c := &Client{pumped: make(chan struct{}), closing: make(chan struct{})}
	code := C.pawlgo_open(cTarget, config, cOwner, C.int64_t(milliseconds(opts.ConnectTimeout)),
		&c.ptr, message)
	if code != 0 {
		return nil, &Error{Op: "open", Err: Code(code), Message: C.GoString(message)}
	}
	c.owner = C.GoString(C.pawl_client_owner(c.ptr))
	c.url = C.GoString(C.pawl_client_url(c.ptr))
	if code := C.pawlgo_keeper_new(c.ptr, &c.keeper); code != 0 {
		C.pawl_client_close(c.ptr)
		return nil, &Error{Op: "open", Err: Code(code)}
	}
	if err := c.startPump(); err != nil {
		C.pawl_client_close(c.ptr)
		C.pawl_lock_free(c.keeper)
		return nil, &Error{Op: "open", Err: ErrSystem, Message: err.Error()}
	}
	return c, nil
}

// ConfigURL is the URL of the store that OpenConfig opens, for a program that keeps its data
// beside its locks. It may hold a password: keep it out of logs.
func ConfigURL(path string) (string, error) {
	var cPath, url *C.char
	if path != "" {
		cPath = C.CString(path)
		defer C.free(unsafe.Pointer(cPath))
	}
	message := newMessage()
	defer C.free(unsafe.Pointer(message))
	if code := C.pawlgo_config_url(cPath, &url, message); code != 0 {
		return "", &Error{Op: "config", Err: Code(code), Message: C.GoString(message)}
	}
	defer C.free(unsafe.Pointer(url))
	return C.GoString(url), nil
}

func newMessage() *C.char { return (*C.char)(C.calloc(1, C.PAWL_MESSAGE_MAX)) }

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
	close(c.closing)
	c.mu.Unlock()

	atomic.StoreInt32(&c.stopping, 1)
	c.fd.Close()
	<-c.pumped
	c.held.Range(func(key, _ interface{}) bool { // before anybody else can have it
		key.(*acquisition).lose(ErrClosed)
		return true
	})
	C.pawl_client_close(c.ptr) // runs the callbacks that are left, and ends the calls under way
	c.users.Wait()
	C.pawl_lock_free(c.keeper)
	return nil
}

// use keeps ptr valid until done is called.
func (c *Client) use() (done func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	c.users.Add(1)
	return c.users.Done, nil
}

// Owner is the client's label as others see it.
func (c *Client) Owner() string { return c.owner }

// URL is the store's URL without its password.
func (c *Client) URL() string { return c.url }

// fail makes an Error, with the store's words if the store is to blame.
func (c *Client) fail(op, name string, err error) error {
	e := &Error{Op: op, Name: name, Err: err}
	code, ok := err.(Code)
	if !ok {
		return e
	}
	done, closed := c.use()
	if closed != nil {
		return e
	}
	defer done()
	message := newMessage()
	defer C.free(unsafe.Pointer(message))
	C.pawl_client_reason(c.ptr, C.int(code), message)
	if reason := C.GoString(message); reason != code.Error() {
		e.Message = reason
	}
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

const (
	// inspectMax bounds a question without a deadline; the store's own patience is shorter.
	inspectMax = time.Minute
	// inspectGrace lets the context's own timer be the first: both would end at its deadline.
	inspectGrace = time.Second
)

// Inspect reports one lock, also a free one. It ends when the context does.
func (c *Client) Inspect(ctx context.Context, name string) (Info, error) {
	if err := ctx.Err(); err != nil {
		return Info{}, c.fail("inspect", name, err)
	}
	wait := inspectMax
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait-inspectGrace {
		wait = time.Until(deadline) + inspectGrace
	}
	done, err := c.use()
	if err != nil {
		return Info{}, c.fail("inspect", name, err)
	}
	var info Info
	answered := make(chan Code, 1)
	go func() { // the call cannot be interrupted
		defer done()
		answered <- c.inspect(name, wait, &info)
	}()
	select {
	case <-ctx.Done():
		return Info{}, c.fail("inspect", name, ctx.Err())
	case code := <-answered:
		if code == 0 {
			return info, nil
		}
		return Info{}, c.fail("inspect", name, c.whyNoAnswer(ctx, code))
	}
}

// whyNoAnswer: a question that ended with its context, or with the client, failed of nothing else.
func (c *Client) whyNoAnswer(ctx context.Context, code Code) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-c.closing:
		return ErrClosed
	default:
		return code
	}
}

func (c *Client) inspect(name string, wait time.Duration, info *Info) Code {
	cName := C.CString(name)
	defer C.free(unsafe.Pointer(cName))
	id := register(info)
	defer unregister(id)
	return Code(C.pawlgo_inspect(c.ptr, cName, C.size_t(len(name)),
		C.int64_t(milliseconds(wait)), C.uintptr_t(id)))
}

// milliseconds rounds away from 0: a wait of 1 ns is a wait, a negative ttl an error.
func milliseconds(d time.Duration) int64 {
	if d < 0 {
		return int64((d - time.Millisecond + 1) / time.Millisecond)
	}
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
