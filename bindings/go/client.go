// SPDX-License-Identifier: MIT

package pawl

// #cgo pkg-config: pawl pawl-config
// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

const defaultReleaseTimeout = time.Second

// Options of a client. The zero value, or nil, means the defaults.
type Options struct {
	// Owner is a label that people see beside the locks that have none of their own; default
	// "user@host pid program".
	Owner string
	// StoreTimeout bounds how long a call waits for a store that is away, before it has answered or
	// while the call stands in its queue; default 5 s. Negative: an outage is waited out, only the
	// call's own context ends it.
	StoreTimeout time.Duration
	// ReleaseTimeout bounds how long UnlockWait and Close, and Unlock where it waits, wait for the
	// store to confirm releases; default 1 s.
	ReleaseTimeout time.Duration
	// Metrics counts what the client does; nil: nothing is counted.
	Metrics *Metrics
	// Log receives what pawl notices by itself, one line at a time and in order, on a goroutine of
	// its own; there are no secrets in it. Default: silence.
	Log func(severity Severity, line string)
}

// logger hands the lines of one client to the user's function.
type logger struct {
	serial serial
	log    func(severity Severity, line string)
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

	patience time.Duration // for the store to confirm a release
	looking  int32         // atomic: see look

	confirmed [ModePermit + 1]int32 // atomic: whether the store has confirmed a release of that mode
	logID     uintptr               // 0: no log

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
// chooses: see pawl/config.h. "": the file that Beego would take, conf/app.conf or
// conf/$BEEGO_RUNMODE.app.conf in the working directory, else beside the program. A folder:
// that file in it.
func OpenConfig(path string, opts *Options) (*Client, error) { return open(path, true, opts) }

func open(target string, fromConfig bool, opts *Options) (*Client, error) {
	if opts == nil {
		opts = &Options{}
	}
	if strings.IndexByte(opts.Owner, 0) >= 0 {
		return nil, &Error{Op: "open", Err: ErrOwner}
	}
	if strings.IndexByte(target, 0) >= 0 {
		return nil, &Error{Op: "open", Err: ErrURL}
	}
	c := &Client{
		pumped:   make(chan struct{}),
		closing:  make(chan struct{}),
		patience: defaultReleaseTimeout,
	}
	if opts.ReleaseTimeout > 0 {
		c.patience = opts.ReleaseTimeout
	}
	if opts.Log != nil {
		c.logID = register(&logger{log: opts.Log})
	}
	err := c.openStore(target, fromConfig, opts)
	if err != nil {
		unregister(c.logID)
		return nil, err
	}
	return c, nil
}

func storeTimeout(given time.Duration) int64 {
	if given < 0 {
		return C.PAWL_WAIT_FOREVER
	}
	return milliseconds(given)
}

// cString is nil for "": C takes its default then.
func cString(text string) *C.char {
	if text == "" {
		return nil
	}
	return C.CString(text)
}

func (c *Client) openStore(target string, fromConfig bool, opts *Options) error {
	cTarget, cOwner, message := cString(target), cString(opts.Owner), newMessage()
	defer C.free(unsafe.Pointer(cTarget))
	defer C.free(unsafe.Pointer(cOwner))
	defer C.free(unsafe.Pointer(message))
	cOpts := C.pawlgo_open_opts{
		owner:            cOwner,
		store_timeout_ms: C.int64_t(storeTimeout(opts.StoreTimeout)),
		close_timeout_ms: C.int64_t(milliseconds(opts.ReleaseTimeout)),
		log_id:           C.uintptr_t(c.logID),
	}
	if opts.Metrics != nil {
		cOpts.metrics = opts.Metrics.ptr
		defer runtime.KeepAlive(opts.Metrics)
	}
	config := C.int(0)
	if fromConfig {
		config = 1
	}
	if code := C.pawlgo_open(cTarget, config, &cOpts, &c.ptr, message); code != 0 {
		return &Error{Op: "open", Err: Code(code), Message: C.GoString(message)}
	}
	c.owner = C.GoString(C.pawl_client_owner(c.ptr))
	c.url = C.GoString(C.pawl_client_url(c.ptr))
	if code := C.pawlgo_keeper_new(c.ptr, &c.keeper); code != 0 {
		C.pawl_client_close(c.ptr)
		return &Error{Op: "open", Err: Code(code)}
	}
	if err := c.startPump(); err != nil {
		C.pawl_client_close(c.ptr)
		C.pawl_lock_free(c.keeper)
		return &Error{Op: "open", Err: ErrSystem, Message: err.Error()}
	}
	return nil
}

// ConfigURL is the URL of the store that OpenConfig opens, for a program that keeps its data
// beside its locks. It may hold a password: keep it out of logs.
func ConfigURL(path string) (string, error) {
	var url *C.char
	cPath, message := cString(path), newMessage()
	defer C.free(unsafe.Pointer(cPath))
	defer C.free(unsafe.Pointer(message))
	if code := C.pawlgo_config_url(cPath, &url, message); code != 0 {
		return "", &Error{Op: "config", Err: Code(code), Message: C.GoString(message)}
	}
	defer C.free(unsafe.Pointer(url))
	return C.GoString(url), nil
}

// ConfigPath is the file that OpenConfig reads. An error for "" says where no file was found.
func ConfigPath(path string) (string, error) {
	cPath, message := cString(path), newMessage()
	defer C.free(unsafe.Pointer(cPath))
	defer C.free(unsafe.Pointer(message))
	var found *C.char
	if code := C.pawl_config_find(cPath, &found, message); code != 0 {
		return "", &Error{Op: "config", Err: Code(code), Message: C.GoString(message)}
	}
	defer C.free(unsafe.Pointer(found))
	return C.GoString(found), nil
}

func newMessage() *C.char { return (*C.char)(C.calloc(1, C.PAWL_MESSAGE_MAX)) }

// Close tells those who hold (Lost, the contexts), releases every lock and frees the client.
// Those who wait get ErrClosed. Leases that were kept by Retain are released as well; those of
// Detached locks stay. Closing twice is allowed.
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
		a := key.(*acquisition)
		a.lose(&Error{Op: "hold", Name: a.name, Err: ErrLost, Cause: ErrClosed})
		return true
	})
	C.pawl_client_close(c.ptr) // runs the callbacks that are left, and ends the calls under way
	c.users.Wait()
	C.pawl_lock_free(c.keeper)
	unregister(c.logID)
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

func (c *Client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Owner is the client's label as others see it.
func (c *Client) Owner() string { return c.owner }

// URL is the store's URL without its password.
func (c *Client) URL() string { return c.url }

// fail makes an Error, with the store's words if the store is to blame.
func (c *Client) fail(op, name string, err error) *Error {
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

// milliseconds rounds away from 0: a wait of 1 ns is a wait, a negative ttl an error.
func milliseconds(d time.Duration) int64 {
	if d < 0 {
		return int64((d - time.Millisecond + 1) / time.Millisecond)
	}
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
