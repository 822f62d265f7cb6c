// SPDX-License-Identifier: MIT

// Package models has what the instances share.
package models

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// ErrStale: a newer holder of the lock has been here already.
var ErrStale = errors.New("the counter has seen a newer holder of the lock: nothing was done")

// ErrUnknown: the server was asked to write and has not answered: it may have been done.
var ErrUnknown = errors.New("the counter has not answered: it may or may not have been changed")

// patience is how long a server may take to answer.
const patience = 5 * time.Second

// Store is the Redis server that has the counters. A counter is read, changed here and written
// back, like any resource that cannot change itself: with INCR there would be nothing to lock.
type Store struct{ pool *redis.Pool }

// Open takes the URL of a Redis server, as pawl writes it: redis://[user:password@]host[:port][/db]
// or redis+unix:///path?db=N. It connects when it is used.
func Open(address string) (*Store, error) {
	dial, err := dialer(address)
	if err != nil {
		return nil, err
	}
	return &Store{pool: &redis.Pool{MaxIdle: 16, Dial: dial}}, nil
}

func dialer(address string) (func() (redis.Conn, error), error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the counter's URL is malformed") // it may hold a password
	}
	network, at, db := "tcp", u.Host, strings.Trim(u.Path, "/")
	switch u.Scheme {
	case "redis":
		if u.Port() == "" {
			at = net.JoinHostPort(u.Hostname(), "6379")
		}
	case "redis+unix":
		network, at, db = "unix", u.Path, u.Query().Get("db")
	default:
		return nil, fmt.Errorf("the counter is kept in Redis: expected adapter = redis, not a store of %s:",
			u.Scheme)
	}
	return func() (redis.Conn, error) {
		conn, err := redis.Dial(network, at, redis.DialConnectTimeout(patience),
			redis.DialReadTimeout(patience), redis.DialWriteTimeout(patience))
		if err != nil {
			return nil, err
		}
		if err := begin(conn, u.User, db); err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	}, nil
}

// begin logs in and chooses the database.
func begin(conn redis.Conn, user *url.Userinfo, db string) error {
	if password, given := user.Password(); given {
		login := []interface{}{password}
		if user.Username() != "" {
			login = []interface{}{user.Username(), password}
		}
		if _, err := conn.Do("AUTH", login...); err != nil {
			return err
		}
	}
	if db == "" {
		return nil
	}
	_, err := conn.Do("SELECT", db)
	return err
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
	return writeError(err)
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
	return writeError(err)
}

// writeError tells what was refused from what nobody answered. The server has been reached before,
// to read; what fails now may fail after the write.
func writeError(err error) error {
	var answer redis.Error
	if err == nil || err == ErrStale || errors.As(err, &answer) {
		return err
	}
	return fmt.Errorf("%w: %v", ErrUnknown, err)
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
