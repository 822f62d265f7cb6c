-- SPDX-License-Identifier: MIT
-- How the lock key begins while several have the name together (lib_group).
local MANY = 'several clients of pawl hold this; pawl show tells: '
