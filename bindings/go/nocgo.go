// SPDX-License-Identifier: MIT

//go:build !cgo

package pawl

// The compiler stops here and shows this name: the binding is libpawl by cgo.
var _ = pawl_needs_cgo__set_CGO_ENABLED_to_1_and_have_a_C_compiler_and_libpawl_installed
