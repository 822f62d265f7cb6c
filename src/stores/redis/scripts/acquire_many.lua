-- SPDX-License-Identifier: MIT
-- ACQUIRE in a mode that several may have at a time. acquire.lua is for the exclusive one.
-- ARGV: token, ttl in ms, "INBOX OWNER", mode (s shared, u update, p permit), units, capacity
--   (0 but for permits), and 0 to be told rather than queued
-- -> 0 FENCE WAITING [SLOT,...]  granted; does somebody wait; the permits
--    1 POSITION HOLDER_MS FENCE  as acquire.lua
--    2 HOLDER_MS OWNER           as acquire.lua
--@include lib_keys
local token, ttl, who, mode, units = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local wanted, asks_only = tonumber(ARGV[6]), ARGV[7]
local held = redis.call('GET', KEYS[1])
--@include lib_last
--@include lib_fence
--@include lib_queue
--@include lib_many
--@include lib_enter
