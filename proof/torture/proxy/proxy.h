/* SPDX-License-Identifier: MIT */
/*
 * A proxy before a server, or between two, that does to connections what networks do. It is a
 * process of its own, so that nothing which the rig waits for delays the traffic.
 *
 * It has doors, one an argument: "BACKEND" is a port of its own on 127.0.0.1 that leads to that
 * socket (a path) or port (digits), "LISTEN=BACKEND" a port or a path that is given.
 *
 * Descriptor 3 is a seqpacket socket. The first message to the rig is the port of the first door;
 * each order is answered by how many connections it concerned:
 *
 *   delay MS     from now on each piece takes so long, either way; 0: none
 *   hold up      what clients send waits until "flow"; "hold down": what the server sends
 *   flow         everything that was held goes on its way
 *   lose down    what the server sends vanishes (it has done the work: the reply is lost)
 *   cut          every connection is reset; also ends "lose"
 *   half         every client reads an end of file, while the other direction stays open
 *   refuse       nobody listens; "accept": somebody does again, on the same port
 *   backend PATH new connections of the first door go to this socket
 *   count        nothing is done
 */
#ifndef PAWL_TORTURE_PROXY_H
#define PAWL_TORTURE_PROXY_H

int torture_proxy_main(char **doors);

#endif
