// SPDX-License-Identifier: MIT

import io.netty.channel.EventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import java.io.IOException;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.redisson.Redisson;
import org.redisson.api.RLock;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

/**
 * Redisson's RLock: waiters subscribe and are told. proof/bench/driver/run.c once more for Java; see
 * proof/bench/driver/driver.h for what a driver is. Each client has a Redisson of its own, with one
 * connection for commands and one for its subscription; they share threads.
 */
public final class BenchRedisson {
    private static final long TTL_MS = 30_000;
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

    private static Config configuration(String url) {
        Config config = new Config();
        config.useSingleServer().setAddress(url);
        return config;
    }

    private static RedissonClient connect(String url, EventLoopGroup group, ExecutorService executor) {
        Config config = configuration(url);
        config.setEventLoopGroup(group);
        config.setExecutor(executor);
        config.useSingleServer()
            .setConnectionPoolSize(1).setConnectionMinimumIdleSize(1)
            .setSubscriptionConnectionPoolSize(1)
            .setSubscriptionConnectionMinimumIdleSize(1);
        return Redisson.create(config);
    }

    private static RedissonClient[] apart(String url, int clients) {
        EventLoopGroup group = new NioEventLoopGroup();
        ExecutorService executor = Executors.newCachedThreadPool();
        RedissonClient[] redissons = new RedissonClient[clients];
        Arrays.setAll(redissons, me -> connect(url, group, executor));
        return redissons;
    }

    private static RLock connect(String url, EventLoopGroup group, ExecutorService executor,
                                 RedissonClient[] clients, int me) {
        clients[me] = connect(url, group, executor);
        RLock own = clients[me].getLock("warm-" + me);
        int pairs = me == 0 ? WARMING_UP : 2;
        for (int i = 0; i < pairs; i++) {
            own.lock(TTL_MS, TimeUnit.MILLISECONDS);
            own.unlock();
        }
        return clients[me].getLock("bench-0");
    }

    private static void sample(long ns) {
        if (sampled < SAMPLES_MAX) {
            samples[sampled++] = ns;
        }
    }

    private static void contend(RLock lock, int me, Count mine) {
        while (!stop) {
            long asked = System.nanoTime();
            lock.lock(TTL_MS, TimeUnit.MILLISECONDS);
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
            lock.unlock();
        }
    }

    private static void alone(RLock lock, Count mine, boolean timed) {
        while (!stop) {
            long before = System.nanoTime();
            lock.lock(TTL_MS, TimeUnit.MILLISECONDS);
            if (timed) {
                sample(System.nanoTime() - before);
            }
            lock.unlock();
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
        String text = String.format(Locale.ROOT, "{\"driver\": \"redisson\", \"workload\": \"%s\", "
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
    static void sayReady() throws IOException {
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

    public static void main(String[] arguments) throws Exception {
        String url = arguments[0];
        String workload = arguments[1];
        int clients = Integer.parseInt(arguments[2]);
        double seconds = Double.parseDouble(arguments[3]);
        if (Arrays.asList("mix", "mix-one", "permits", "permits-one").contains(workload)) {
            RedissonClient[] redissons = workload.endsWith("-one")
                ? new RedissonClient[] {Redisson.create(configuration(url))} : apart(url, clients);
            end(new RedissonSeveral(redissons, workload.startsWith("permits"), clients)
                .run(workload, seconds));
        }
        if (!Arrays.asList("pairs", "acquire", "contend").contains(workload)) {
            System.err.println("redisson does not know the workload " + workload);
            System.exit(1);
        }
        EventLoopGroup group = new NioEventLoopGroup();
        ExecutorService executor = Executors.newCachedThreadPool();
        RedissonClient[] redissons = new RedissonClient[clients];
        Count[] counts = new Count[clients];
        CountDownLatch warm = new CountDownLatch(clients);
        CountDownLatch start = new CountDownLatch(1);
        Thread[] threads = new Thread[clients];
        for (int i = 0; i < clients; i++) {
            int me = i;
            counts[me] = new Count();
            threads[me] = new Thread(() -> {
                RLock lock = connect(url, group, executor, redissons, me);
                warm.countDown();
                try {
                    start.await();
                } catch (InterruptedException stopped) {
                    return;
                }
                if (workload.equals("contend")) {
                    contend(lock, me, counts[me]);
                } else {
                    alone(lock, counts[me], workload.equals("acquire"));
                }
            });
            threads[me].setUncaughtExceptionHandler((thread, error) -> {
                error.printStackTrace();
                Runtime.getRuntime().halt(1);
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
