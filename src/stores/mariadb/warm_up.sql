-- SPDX-License-Identifier: MIT
--
-- What a session that comes back does first. A session reads and compiles a procedure when it first calls it,
-- which takes about as long as to carry it out. So the procedures of requests are called for no name, NULL: they
-- find nothing, lock nothing, and can write nothing, because no row has such a name. MySQL has no such statement.
BEGIN NOT ATOMIC
    DECLARE first, f BIGINT;
    DECLARE yes BOOLEAN;
    DECLARE cl VARBINARY(32);
    DECLARE tok VARBINARY(40);
    DECLARE reply BLOB;
    DECLARE CONTINUE HANDLER FOR 1048 BEGIN END; -- a name cannot be NULL
    CALL pawl_acquire(NULL, '', '', '', 0, 0, 0, 0, FALSE);
    CALL pawl_renew(NULL, '', 0);
    CALL pawl_release(NULL, '');
    CALL pawl_take_usual(NULL, 0, 0, '', '', '', 0, FALSE, reply);
    CALL pawl_take(NULL, 0, FALSE, 0, '', '', '', 0, 3, 1, 1, FALSE, reply);
    CALL pawl_take_slots(NULL, '', 0, 0);
    CALL pawl_fits(NULL, 3, 1, 1, yes);
    CALL pawl_queue_up(NULL, 0, '', '', '', 0, 0, 0, 0, FALSE, FALSE, 1, 0, reply);
    CALL pawl_say_held(NULL, 0, '', '', reply);
    CALL pawl_hand_on(NULL, 0, 0, '', first, f, cl, tok, yes);
    CALL pawl_let_go(NULL, 0, '', reply);
    CALL pawl_serve(NULL, 0);
    CALL pawl_tell('', '', 0, FALSE, '');
    CALL pawl_post(NULL, 0, NULL, '', 0, FALSE, '');
END
