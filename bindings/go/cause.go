// SPDX-License-Identifier: MIT

//go:build cgo && go1.20

package pawl

import "context"

func withCancelCause(parent context.Context) (context.Context, func(cause error)) {
	ctx, cancel := context.WithCancelCause(parent)
	return ctx, cancel
}
