/* SPDX-License-Identifier: MIT */
/* A port for a server of the tests or of the torture. free_port.py is the same for Python. */
#ifndef PAWL_PROOF_FREE_PORT_H
#define PAWL_PROOF_FREE_PORT_H

/*
 * A TCP port of this machine that nobody uses; 0 if there is none. It stays ours until this process
 * ends, also while its server is down:
 * - It is outside the range from which the kernel gives ports to connections. A port that the
 * kernel named (bind to port 0, then close) may belong to a stranger's connection before the server
 * binds it, or while the server is being restarted.
 * - Whoever else asks this function is kept away by a unix socket with an abstract name, which
 * holds one descriptor of this process.
 */
int free_port(void);

#endif
