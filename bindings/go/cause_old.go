// SPDX-License-Identifier: MIT

//go:build cgo && !go1.20

package pawl

import "context"

// Before Go 1.20 a context has no cause: Lock.Err says why.
func withCancelCause(parent context.Context) (context.Context, func(cause error)) {
	ctx, cancel := context.WithCancel(parent)
	return ctx, func(error) { cancel() }
}
