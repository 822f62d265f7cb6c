// SPDX-License-Identifier: MIT

// Package frame is proof/bench/driver/run.c once more for Go: a driver brings a lock, the frame starts
// the clients, watches that never two are inside, measures and prints one line of JSON.
package frame

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// TTL is the length of every lease.
const TTL = 30 * time.Second

// Lock is one client's lock on one name. Acquire waits.
type Lock interface {
	Acquire(ctx context.Context) error
	Release(ctx context.Context) error
}

// Connect makes a client with a connection of its own.
type Connect func(address string) func(name string) Lock

// Patience is what the clients get to end after the window. One that is not told of a free lock
// would wait for ever (it has been seen); it must not take with it what was measured.
const Patience = 5 * time.Second

type state struct {
	start    time.Time
	until    time.Duration
	stop     atomic.Bool
	waiting  atomic.Int32 // clients that have not ended
	inside   atomic.Int32
	overlaps atomic.Uint64
	// Written by the holder only.
	last     int
	released time.Duration
	gaps     []time.Duration
	handover int
}

type count struct {
	acquired, total int
	longest         time.Duration
	times           []time.Duration
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (s *state) now() time.Duration { return time.Since(s.start) }

func (s *state) contend(lock Lock, me int, mine *count) {
	ctx := context.Background()
	for !s.stop.Load() {
		asked := s.now()
		must(lock.Acquire(ctx))
		now := s.now()
		if s.inside.Add(1) != 1 {
			s.overlaps.Add(1)
		}
		mine.total++
		if now <= s.until {
			mine.acquired++
			mine.longest = max(mine.longest, now-asked)
			if s.released != 0 && s.last != me {
				s.handover++
				s.gaps = append(s.gaps, now-s.released)
			}
		}
		s.last = me
		s.inside.Add(-1)
		s.released = s.now()
		must(lock.Release(ctx))
	}
}

func (s *state) alone(lock Lock, mine *count, timed bool) {
	ctx := context.Background()
	for !s.stop.Load() {
		before := s.now()
		must(lock.Acquire(ctx))
		if timed {
			mine.times = append(mine.times, s.now()-before)
		}
		must(lock.Release(ctx))
		mine.acquired++
	}
	mine.total = mine.acquired
}

func quantile(times []time.Duration, share float64) int64 {
	slices.Sort(times)
	return times[int(float64(len(times)-1)*share)].Nanoseconds()
}

func (s *state) report(name, workload string, seconds float64, counts []count) map[string]any {
	acquired, total, sum, squares := 0, 0, 0.0, 0.0
	longest := time.Duration(0)
	for _, c := range counts {
		acquired += c.acquired
		total += c.total
		sum += float64(c.acquired)
		squares += float64(c.acquired) * float64(c.acquired)
		longest = max(longest, c.longest)
	}
	report := map[string]any{"driver": name, "workload": workload, "clients": len(counts),
		"seconds": seconds, "acquired": acquired, "total": total, "stuck": s.waiting.Load()}
	if workload == "acquire" && acquired > 0 {
		report["acquire_p50_ns"] = quantile(counts[0].times, 0.5)
		report["acquire_p99_ns"] = quantile(counts[0].times, 0.99)
	}
	if workload == "contend" {
		report["handovers"] = s.handover
		report["overlaps"] = s.overlaps.Load()
		report["jain"] = sum * sum / max(1, float64(len(counts))*squares)
		report["longest_wait_ns"] = longest.Nanoseconds()
		if s.handover > 0 {
			report["gap_p50_ns"] = quantile(s.gaps, 0.5)
			report["gap_p99_ns"] = quantile(s.gaps, 0.99)
		}
	}
	return report
}

// Main is the main function of a driver: URL WORKLOAD CLIENTS SECONDS.
func Main(name string, connect Connect) {
	if len(os.Args) != 5 {
		must(fmt.Errorf("usage: %s URL WORKLOAD CLIENTS SECONDS", name))
	}
	_, address, _ := strings.Cut(os.Args[1], "://")
	workload := os.Args[2]
	clients, err := strconv.Atoi(os.Args[3])
	must(err)
	seconds, err := strconv.ParseFloat(os.Args[4], 64)
	must(err)
	if !slices.Contains([]string{"pairs", "acquire", "contend"}, workload) {
		must(fmt.Errorf("%s does not know the workload %s", name, workload))
	}

	s := &state{start: time.Now(), gaps: make([]time.Duration, 0, 1<<20)}
	counts := make([]count, clients)
	var warm, done sync.WaitGroup
	s.waiting.Store(int32(clients))
	begin := make(chan struct{})
	for i := range clients {
		warm.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			defer s.waiting.Add(-1)
			lock := connect(address)
			own := lock(fmt.Sprint("warm-", i))
			for range 2 {
				must(own.Acquire(context.Background()))
				must(own.Release(context.Background()))
			}
			mine := lock("bench-0")
			warm.Done()
			<-begin
			if workload == "contend" {
				s.contend(mine, i, &counts[i])
			} else {
				s.alone(mine, &counts[i], workload == "acquire")
			}
		}()
	}
	warm.Wait()
	input := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	_, _ = input.ReadString('\n')
	s.until = s.now() + time.Duration(seconds*float64(time.Second))
	close(begin)
	time.Sleep(s.until - s.now())
	s.stop.Store(true)
	ended := make(chan struct{})
	go func() { done.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(Patience):
	}
	must(json.NewEncoder(os.Stdout).Encode(s.report(name, workload, seconds, counts)))
	for err == nil {
		_, err = input.ReadByte()
	}
}
