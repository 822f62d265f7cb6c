// SPDX-License-Identifier: MIT

// Bench measures what one uncontended pair of Lock and Unlock costs: pawl from Go, pawl from C, and, built with
// the tag peers and on a Redis, redsync and rueidislock, in turn, round by round, in one run. It prints
// microseconds, the median of the rounds or another quantile, and the ratios to C.
//
//	go run -tags peers . -seconds 1 -rounds 5 -c build/pawl-bench redis://127.0.0.1:6379
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

const ttl = 30 * time.Second

// contestant is one way to lock and unlock.
type contestant struct {
	name string
	run  func(time.Duration) (us float64, err error)
}

// timed gives the microseconds of one pair.
func timed(pair func() error) func(time.Duration) (float64, error) {
	return func(span time.Duration) (float64, error) {
		for i := 0; i < 50; i++ {
			if err := pair(); err != nil {
				return 0, err
			}
		}
		begun := time.Now()
		for count := 20; ; count += 20 {
			for i := 0; i < 20; i++ {
				if err := pair(); err != nil {
					return 0, err
				}
			}
			if took := time.Since(begun); took >= span {
				return float64(took.Microseconds()) / float64(count), nil
			}
		}
	}
}

// fromC is pawl-bench's own measurement of one client alone.
func fromC(command, url string) func(time.Duration) (float64, error) {
	return func(span time.Duration) (float64, error) {
		words := append(strings.Fields(command), "-q", "-S", url, "-d", fmt.Sprintf("%dms", span.Milliseconds()), "--json",
			"--only", "uncontended", "bench")
		said, err := exec.Command(words[0], words[1:]...).Output()
		if err != nil {
			return 0, err
		}
		var report struct {
			Phases []struct {
				Pairs float64 `json:"pairs_per_second"`
			}
		}
		if err := json.Unmarshal(said, &report); err != nil || len(report.Phases) == 0 {
			return 0, fmt.Errorf("%s: no report: %w", command, err)
		}
		return 1e6 / report.Phases[0].Pairs, nil
	}
}

func ofPawl(client *pawl.Client) []contestant {
	ctx, lock := context.Background(), client.NewLock("bench", &pawl.LockOptions{TTL: ttl})
	pair := func() error {
		if err := lock.Lock(ctx); err != nil {
			return err
		}
		return lock.Unlock()
	}
	do := func() error {
		return client.NewLock("bench", &pawl.LockOptions{TTL: ttl}).Do(ctx, func(context.Context) error { return nil })
	}
	return []contestant{{"pawl, one Lock", timed(pair)}, {"pawl, NewLock().Do", timed(do)}}
}

// quantile is the median for 0.5; a smaller one leaves out the rounds in which others had the machine.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below == len(sorted)-1 {
		return sorted[below]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}

func measure(url, command string, span time.Duration, rounds int, q float64) error {
	client, err := pawl.Open(url, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	all := ofPawl(client)
	others, err := ofPeers(url)
	if err != nil {
		return err
	}
	all = append(all, others...)
	if command != "" {
		all = append([]contestant{{"pawl in C", fromC(command, url)}}, all...)
	}
	times := make([][]float64, len(all))
	for round := 0; round < rounds; round++ {
		for i, one := range all {
			us, err := one.run(span)
			if err != nil {
				return fmt.Errorf("%s: %w", one.name, err)
			}
			times[i] = append(times[i], us)
		}
	}
	for i, one := range all {
		fmt.Printf("%-26s %8.1f us", one.name, quantile(times[i], q))
		if command != "" {
			fmt.Printf("  %5.2f x C", quantile(times[i], q)/quantile(times[0], q))
		}
		fmt.Println()
	}
	return nil
}

func main() {
	seconds := flag.Float64("seconds", 1, "of each measurement")
	rounds := flag.Int("rounds", 5, "how often")
	q := flag.Float64("quantile", 0.5, "of the rounds, that is printed")
	command := flag.String("c", "", "pawl-bench, to compare with C")
	flag.Parse()
	if flag.NArg() != 1 || *rounds < 1 || *q < 0 || *q > 1 {
		fmt.Fprintln(os.Stderr, "usage: bench [-seconds S] [-rounds N] [-quantile Q] [-c COMMAND] URL")
		os.Exit(2)
	}
	if err := measure(flag.Arg(0), *command, time.Duration(*seconds*float64(time.Second)), *rounds, *q); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
