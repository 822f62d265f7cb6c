// SPDX-License-Identifier: MIT

package pawl

// #include <fcntl.h>
// #include <pawl/pawl.h>
// #include <unistd.h>
//
// static int dup_cloexec(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, 0); }
import "C"

import (
	"os"
	"sync/atomic"
	"syscall"
)

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
