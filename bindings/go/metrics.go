// SPDX-License-Identifier: MIT

package pawl

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"io"
	"runtime"
	"strings"
	"unsafe"
)

// Metrics counts what any number of clients do (Options.Metrics), for Prometheus. What is counted
// is in pawl_metrics(3). Safe for concurrent use. Package pawlmetrics serves it over HTTP.
type Metrics struct {
	ptr *C.pawl_metrics
}

// NewMetrics makes an object with all counts at zero. No name of a lock is a label: the label class
// is the first of these patterns that fits the name, where * stands for any bytes and ? for one, or
// "other". At most 32 patterns of 1 to 64 printable ASCII characters, else ErrArgument.
func NewMetrics(classes ...string) (*Metrics, error) {
	// C is given an array of C's own: Go's may not hold pointers into it that Go has made.
	array := (*[1 << 16]*C.char)(C.calloc(C.size_t(len(classes)+1), C.size_t(unsafe.Sizeof((*C.char)(nil)))))
	if array == nil || len(classes) >= len(array) {
		C.free(unsafe.Pointer(array))
		return nil, &Error{Op: "metrics", Err: ErrArgument}
	}
	defer func() {
		for i := range classes {
			C.free(unsafe.Pointer(array[i]))
		}
		C.free(unsafe.Pointer(array))
	}()
	for i, class := range classes {
		if strings.IndexByte(class, 0) >= 0 {
			return nil, &Error{Op: "metrics", Err: ErrArgument}
		}
		array[i] = C.CString(class)
	}
	m := &Metrics{}
	if code := C.pawlgo_metrics_new(&array[0], C.size_t(len(classes)), &m.ptr); code != 0 {
		return nil, &Error{Op: "metrics", Err: Code(code)}
	}
	runtime.SetFinalizer(m, func(m *Metrics) { C.pawl_metrics_free(m.ptr) })
	return m, nil
}

// WriteTo writes all metrics in Prometheus' text format, version 0.0.4.
func (m *Metrics) WriteTo(w io.Writer) (int64, error) {
	var text *C.char
	var size C.size_t
	code := C.pawlgo_metrics_text(m.ptr, &text, &size)
	runtime.KeepAlive(m)
	defer C.free(unsafe.Pointer(text))
	if code != 0 {
		return 0, &Error{Op: "metrics", Err: Code(code)}
	}
	n, err := io.WriteString(w, C.GoStringN(text, C.int(size)))
	return int64(n), err
}
