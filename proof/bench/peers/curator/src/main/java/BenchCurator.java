// SPDX-License-Identifier: MIT

import java.io.IOException;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.RetryNTimes;

/**
 * Curator's InterProcessMutex. proof/bench/driver/run.c once more for Java; see
 * proof/bench/driver/driver.h for what a driver is. Each client has a session of its own.
 */
public final class BenchCurator {
    private static final int SAMPLES_MAX = 1 << 20;
    private static final int WARMING_UP = 2000; // pairs of the first client: until it is compiled

    private static volatile boolean stop;
    private static volatile long until;
    private static final AtomicInteger inside = new AtomicInteger();
    private static final AtomicInteger overlaps = new AtomicInteger();
    // Written by the holder only; inside carries them from one thread to the next.
    private static int last = -1;
    private static long released;
    private static int handovers;
    private static final long[] samples = new long[SAMPLES_MAX];
    private static int sampled;

    private static final class Count {
        long acquired;
        long total;
        long longest;
    }

    private static InterProcessMutex connect(String address, int me) throws Exception {
        CuratorFramework curator =
            CuratorFrameworkFactory.newClient(address, 40_000, 15_000, new RetryNTimes(3, 100));
        curator.start();
        InterProcessMutex own = new InterProcessMutex(curator, "/bench/warm-" + me);
        int pairs = me == 0 ? WARMING_UP : 2;
        for (int i = 0; i < pairs; i++) {
            own.acquire();
            own.release();
        }
        return new InterProcessMutex(curator, "/bench/bench-0");
    }

    private static void sample(long ns) {
        if (sampled < SAMPLES_MAX) {
            samples[sampled++] = ns;
        }
    }

    private static void contend(InterProcessMutex lock, int me, Count mine) throws Exception {
        while (!stop) {
            long asked = System.nanoTime();
            lock.acquire();
            long now = System.nanoTime();
            if (inside.incrementAndGet() != 1) {
                overlaps.incrementAndGet();
            }
            mine.total++;
            if (now <= until) {
                mine.acquired++;
                mine.longest = Math.max(mine.longest, now - asked);
                if (last >= 0 && last != me) {
                    handovers++;
                    sample(now - released);
                }
            }
            last = me;
            released = System.nanoTime();
            inside.decrementAndGet();
            lock.release();
        }
    }

    private static void alone(InterProcessMutex lock, Count mine, boolean timed) throws Exception {
        while (!stop) {
            long before = System.nanoTime();
            lock.acquire();
            if (timed) {
                sample(System.nanoTime() - before);
            }
            lock.release();
            mine.acquired++;
        }
        mine.total = mine.acquired;
    }

    private static String report(String workload, double seconds, Count[] counts) {
        long acquired = 0;
        long total = 0;
        long longest = 0;
        double squares = 0;
        for (Count c : counts) {
            acquired += c.acquired;
            total += c.total;
            longest = Math.max(longest, c.longest);
            squares += (double) c.acquired * c.acquired;
        }
        String text = String.format(Locale.ROOT, "{\"driver\": \"curator\", \"workload\": \"%s\", "
            + "\"clients\": %d, \"seconds\": %s, \"acquired\": %d, \"total\": %d", workload,
            counts.length, seconds, acquired, total);
        if (workload.equals("contend")) {
            double jain = (double) acquired * acquired / Math.max(1, counts.length * squares);
            text += String.format(Locale.ROOT, ", \"handovers\": %d, \"overlaps\": %d, "
                + "\"jain\": %.4f, \"longest_wait_ns\": %d", handovers, overlaps.get(), jain,
                longest);
        }
        if (sampled > 0) {
            Arrays.sort(samples, 0, sampled);
            String what = workload.equals("acquire") ? "acquire" : "gap";
            text += String.format(Locale.ROOT, ", \"%s_p50_ns\": %d, \"%s_p99_ns\": %d", what,
                samples[(int) ((sampled - 1) * 0.5)], what, samples[(int) ((sampled - 1) * 0.99)]);
        }
        return text + "}";
    }

    /** A line, then a line of input. */
    private static void sayReady() throws IOException {
        System.out.println("ready");
        int read = System.in.read();
        while (read != '\n' && read != -1) {
            read = System.in.read();
        }
    }

    private static void end(String report) throws IOException {
        System.out.println(report);
        while (System.in.read() != -1) {
            // until the caller has looked at the server
        }
        Runtime.getRuntime().halt(0);
    }

    private static void work(String address, String workload, int me, Count mine,
                             CountDownLatch warm, CountDownLatch start) throws Exception {
        InterProcessMutex lock = connect(address, me);
        warm.countDown();
        start.await();
        if (workload.equals("contend")) {
            contend(lock, me, mine);
        } else {
            alone(lock, mine, workload.equals("acquire"));
        }
    }

    public static void main(String[] arguments) throws Exception {
        String address = arguments[0].substring(arguments[0].indexOf("://") + 3);
        String workload = arguments[1];
        int clients = Integer.parseInt(arguments[2]);
        double seconds = Double.parseDouble(arguments[3]);
        if (!Arrays.asList("pairs", "acquire", "contend").contains(workload)) {
            System.err.println("curator does not know the workload " + workload);
            System.exit(1);
        }
        Count[] counts = new Count[clients];
        CountDownLatch warm = new CountDownLatch(clients);
        CountDownLatch start = new CountDownLatch(1);
        Thread[] threads = new Thread[clients];
        for (int i = 0; i < clients; i++) {
            int me = i;
            counts[me] = new Count();
            threads[me] = new Thread(() -> {
                try {
                    work(address, workload, me, counts[me], warm, start);
                } catch (Exception error) {
                    error.printStackTrace();
                    Runtime.getRuntime().halt(1);
                }
            });
            threads[me].start();
        }
        warm.await();
        sayReady();
        until = System.nanoTime() + (long) (seconds * 1e9);
        start.countDown();
        Thread.sleep((long) (seconds * 1000));
        stop = true;
        for (Thread thread : threads) {
            thread.join();
        }
        end(report(workload, seconds, counts));
    }
}
