// SPDX-License-Identifier: MIT

import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;
import org.redisson.api.RLock;
import org.redisson.api.RPermitExpirableSemaphore;
import org.redisson.api.RReadWriteLock;
import org.redisson.api.RedissonClient;

/**
 * The workloads mix and permits with Redisson's RReadWriteLock and RPermitExpirableSemaphore, as
 * proof/bench/pawl/several.c has them: a Redisson for each client, or one for all threads with its usual
 * pool of connections. The lease is long: whatever holds up a busy machine must not end it.
 */
final class RedissonSeveral {
    private static final long LEASE_MS = 600_000;
    private static final int TURNS = 20;
    private static final int STAGGER = 7;
    private static final int PERMITS = 8;
    private static final long WARMING_UP_NS = 3_000_000_000L; // the same job on another name
    private static final long PATIENCE_MS = 5_000;            // with who is not told of a free lock
    private static final int PASSED_MAX = 1 << 16;
    private static final int READ = 0;
    private static final int WRITE = 1;
    private static final int PERMIT = 2;
    private static final long NOBODY = Long.MAX_VALUE;

    private interface Lock {
        void acquire() throws InterruptedException;

        void release();
    }

    private static final class Tally {
        final long[] acquired = new long[3];
        final long[] longest = new long[3];
        final int[] passed = new int[PASSED_MAX];
        int writes;
        long total;
        long handovers;
        long lastGrant;
    }

    private final boolean permits;
    private final RedissonClient[] redissons; // one, or one for each client
    private final Tally[] tallies;
    private final AtomicLongArray waitsSince;
    private final AtomicLong asked = new AtomicLong();
    private final AtomicLong granted = new AtomicLong();
    private final AtomicInteger[] inside = {new AtomicInteger(), new AtomicInteger(), new AtomicInteger()};
    private final AtomicInteger overlaps = new AtomicInteger();
    private volatile boolean stop;
    private volatile long until;

    RedissonSeveral(RedissonClient[] redissons, boolean permits, int clients) {
        this.redissons = redissons;
        this.permits = permits;
        tallies = new Tally[clients];
        waitsSince = new AtomicLongArray(clients);
        for (int i = 0; i < clients; i++) {
            waitsSince.set(i, NOBODY);
        }
    }

    private static Lock lock(RedissonClient redisson, String name, int kind) {
        if (kind == PERMIT) {
            RPermitExpirableSemaphore semaphore = redisson.getPermitExpirableSemaphore(name);
            semaphore.trySetPermits(PERMITS);
            return new Lock() {
                private String id;

                public void acquire() throws InterruptedException {
                    id = semaphore.acquire(LEASE_MS, TimeUnit.MILLISECONDS);
                }

                public void release() {
                    semaphore.release(id);
                }
            };
        }
        RReadWriteLock both = redisson.getReadWriteLock(name);
        RLock one = kind == READ ? both.readLock() : both.writeLock();
        return new Lock() {
            public void acquire() {
                one.lock(LEASE_MS, TimeUnit.MILLISECONDS);
            }

            public void release() {
                one.unlock();
            }
        };
    }

    private Lock[] locks(int me, String name) {
        RedissonClient redisson = redissons[me % redissons.length];
        return permits ? new Lock[] {null, null, lock(redisson, name, PERMIT)}
            : new Lock[] {lock(redisson, name, READ), lock(redisson, name, WRITE), null};
    }

    private int kind(int turn) {
        return permits ? PERMIT : turn % TURNS == 0 ? WRITE : READ;
    }

    private boolean fits(int kind) {
        return kind == PERMIT ? inside[PERMIT].get() <= PERMITS
            : inside[WRITE].get() == 0 || inside[WRITE].get() == 1 && inside[READ].get() == 0;
    }

    private int passed(long mine, long before) {
        long earlier = mine;
        for (int i = 0; i < tallies.length; i++) {
            earlier -= waitsSince.get(i) < mine ? 1 : 0;
        }
        return (int) Math.max(0, before - earlier);
    }

    private void acquire(int me, Lock lock, int kind) throws InterruptedException {
        Tally tally = tallies[me];
        long askedAt = System.nanoTime();
        long mine = asked.getAndIncrement();
        waitsSince.set(me, mine);
        lock.acquire();
        long now = System.nanoTime();
        waitsSince.set(me, NOBODY);
        long before = granted.getAndIncrement();
        inside[kind].incrementAndGet();
        if (!fits(kind)) {
            overlaps.incrementAndGet();
        }
        tally.total++;
        if (now <= until) {
            tally.acquired[kind]++;
            tally.longest[kind] = Math.max(tally.longest[kind], now - askedAt);
            if (kind == WRITE && tally.writes < PASSED_MAX) {
                tally.passed[tally.writes++] = passed(mine, before);
            }
            if (kind == PERMIT && tally.total > 1 && before - tally.lastGrant > PERMITS) {
                tally.handovers++;
            }
        }
        tally.lastGrant = before;
    }

    private void client(int me, CyclicBarrier ready, CyclicBarrier start) throws Exception {
        Lock[] warm = locks(me, "warm");
        long warmUntil = System.nanoTime() + WARMING_UP_NS;
        for (int turn = me * STAGGER; System.nanoTime() < warmUntil; turn++) {
            warm[kind(turn)].acquire();
            warm[kind(turn)].release();
        }
        Lock[] locks = locks(me, "bench-0");
        ready.await();
        start.await();
        for (int turn = me * STAGGER; !stop; turn++) {
            int kind = kind(turn);
            acquire(me, locks[kind], kind);
            inside[kind].decrementAndGet();
            locks[kind].release();
        }
    }

    private double jain(int kind) {
        double sum = 0;
        double squares = 0;
        for (Tally tally : tallies) {
            sum += tally.acquired[kind];
            squares += (double) tally.acquired[kind] * tally.acquired[kind];
        }
        return squares == 0 ? 0 : sum * sum / (tallies.length * squares);
    }

    private long longest(int kind) {
        return Arrays.stream(tallies).mapToLong(tally -> tally.longest[kind]).max().orElse(0);
    }

    private long acquired(int kind) {
        return Arrays.stream(tallies).mapToLong(tally -> tally.acquired[kind]).sum();
    }

    private String report(String workload, double seconds, int stuck) {
        long total = Arrays.stream(tallies).mapToLong(tally -> tally.total).sum();
        String text = String.format(Locale.ROOT, "{\"driver\": \"redisson\", \"workload\": \"%s\", "
            + "\"clients\": %d, \"seconds\": %s, \"acquired\": %d, \"total\": %d, \"overlaps\": %d, "
            + "\"stuck\": %d", workload, tallies.length, seconds,
            acquired(READ) + acquired(WRITE) + acquired(PERMIT), total, overlaps.get(), stuck);
        if (permits) {
            return text + String.format(Locale.ROOT, ", \"handovers\": %d, \"jain\": %.4f, "
                + "\"longest_wait_ns\": %d}", Arrays.stream(tallies).mapToLong(s -> s.handovers).sum(),
                jain(PERMIT), longest(PERMIT));
        }
        int[] passed = Arrays.stream(tallies).flatMapToInt(s -> Arrays.stream(s.passed, 0, s.writes))
            .sorted().toArray();
        int last = passed.length - 1;
        return text + String.format(Locale.ROOT, ", \"reads\": %d, \"writes\": %d, "
            + "\"jain_reads\": %.4f, \"jain_writes\": %.4f, \"longest_read_ns\": %d, "
            + "\"longest_write_ns\": %d, \"passed_p99\": %d, \"passed_max\": %d}", acquired(READ),
            acquired(WRITE), jain(READ), jain(WRITE), longest(READ), longest(WRITE),
            last < 0 ? 0 : passed[(int) (last * 0.99)], last < 0 ? 0 : passed[last]);
    }

    String run(String workload, double seconds) throws Exception {
        CyclicBarrier ready = new CyclicBarrier(tallies.length + 1);
        CyclicBarrier start = new CyclicBarrier(tallies.length + 1);
        Thread[] threads = new Thread[tallies.length];
        for (int i = 0; i < threads.length; i++) {
            int me = i;
            tallies[me] = new Tally();
            threads[me] = new Thread(() -> {
                try {
                    client(me, ready, start);
                } catch (Exception error) {
                    error.printStackTrace();
                    Runtime.getRuntime().halt(1);
                }
            });
            threads[me].start();
        }
        ready.await();
        BenchRedisson.sayReady();
        until = System.nanoTime() + (long) (seconds * 1e9);
        start.await();
        Thread.sleep((long) (seconds * 1000));
        stop = true;
        long patience = System.currentTimeMillis() + PATIENCE_MS;
        int stuck = 0;
        for (Thread thread : threads) {
            thread.join(Math.max(1, patience - System.currentTimeMillis()));
            stuck += thread.isAlive() ? 1 : 0;
        }
        return report(workload, seconds, stuck);
    }
}
