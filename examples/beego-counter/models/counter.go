// SPDX-License-Identifier: MIT

// Package models has what the instances share.
package models

import (
	"errors"
	"time"

	"github.com/gomodule/redigo/redis"
)

// ErrStale: a newer holder of the lock has been here already.
var ErrStale = errors.New("the counter has seen a newer holder of the lock: nothing was done")

// Store is the Redis server that has the counters. A counter is read, changed here and written
// back, like any resource that cannot change itself: with INCR there would be nothing to lock.
type Store struct{ pool *redis.Pool }

// Open opens host:port; it connects when it is used.
func Open(address string) *Store {
	return &Store{pool: &redis.Pool{
		MaxIdle: 16,
		Dial: func() (redis.Conn, error) {
			return redis.Dial("tcp", address, redis.DialConnectTimeout(5*time.Second))
		},
	}}
}

func (s *Store) do(command string, args ...interface{}) (interface{}, error) {
	conn := s.pool.Get()
	defer conn.Close()
	return conn.Do(command, args...)
}

// Read returns the counter of that name; 0 if there is none yet.
func (s *Store) Read(name string) (int64, error) {
	value, err := redis.Int64(s.do("HGET", name, "value"))
	if err == redis.ErrNil {
		return 0, nil
	}
	return value, err
}

// Write writes whatever it is given: the counter of the tutorial.
func (s *Store) Write(name string, value int64) error {
	_, err := s.do("HSET", name, "value", value)
	return err
}

// The resource's side of a lock: it deals with nobody whose fence is older than one that it has
// seen. Reading counts as seeing: otherwise a holder that overslept could still write after its
// successor has read, and the successor would overwrite that. Fences fit a Lua number until 2255.
const guard = `
if tonumber(ARGV[1]) < tonumber(redis.call('HGET', KEYS[1], 'fence') or '0') then
    return false
end
redis.call('HSET', KEYS[1], 'fence', ARGV[1])
`

var (
	readFenced = redis.NewScript(1, guard+`
return redis.call('HGET', KEYS[1], 'value') or '0'`)
	writeFenced = redis.NewScript(1, guard+`
redis.call('HSET', KEYS[1], 'value', ARGV[2])
return ARGV[2]`)
)

func (s *Store) fenced(script *redis.Script, args ...interface{}) (int64, error) {
	conn := s.pool.Get()
	defer conn.Close()
	value, err := redis.Int64(script.Do(conn, args...))
	if err == redis.ErrNil {
		return 0, ErrStale
	}
	return value, err
}

// ReadFenced reads, and from now on the counter refuses smaller fences.
func (s *Store) ReadFenced(name string, fence uint64) (int64, error) {
	return s.fenced(readFenced, name, fence)
}

// WriteFenced writes unless a newer holder has come: ErrStale.
func (s *Store) WriteFenced(name string, value int64, fence uint64) error {
	_, err := s.fenced(writeFenced, name, fence, value)
	return err
}

// Enter and Leave count who is inside at once.
func (s *Store) Enter(name string) error {
	inside, err := redis.Int64(s.do("HINCRBY", name, "inside", 1))
	if err == nil && inside > 1 {
		_, err = s.do("HINCRBY", name, "overlaps", 1)
	}
	return err
}

// Leave ends what Enter began.
func (s *Store) Leave(name string) {
	_, _ = s.do("HINCRBY", name, "inside", -1)
}

// Overlaps is how often somebody entered while another was inside.
func (s *Store) Overlaps(name string) (int64, error) {
	n, err := redis.Int64(s.do("HGET", name, "overlaps"))
	if err == redis.ErrNil {
		return 0, nil
	}
	return n, err
}
