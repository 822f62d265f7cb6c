// SPDX-License-Identifier: MIT

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.redisson.Redisson;
import org.redisson.api.RBucket;
import org.redisson.api.RLock;
import org.redisson.api.RedissonClient;
import org.redisson.client.RedisException;
import org.redisson.client.codec.StringCodec;
import org.redisson.config.Config;

/**
 * usage: InteropRedisson bucket|lock ADDRESS NAME TTL_MS
 *
 * A plain key of Redisson's, or its RLock, which is a hash; for proof/tests/interop. For each line
 * "acquire" (once, without waiting) or "release" on stdin it prints yes, no, or what the server refused.
 */
public final class InteropRedisson {
    private interface Lock {
        boolean acquire() throws InterruptedException;

        boolean release();
    }

    private static Lock bucket(RedissonClient redisson, String name, long ttlMs) {
        RBucket<String> bucket = redisson.getBucket(name, StringCodec.INSTANCE);
        String token = UUID.randomUUID().toString();
        return new Lock() {
            public boolean acquire() {
                return bucket.setIfAbsent(token, Duration.ofMillis(ttlMs));
            }

            public boolean release() {
                return bucket.compareAndSet(token, null);
            }
        };
    }

    private static Lock lock(RedissonClient redisson, String name, long ttlMs) {
        RLock lock = redisson.getLock(name);
        return new Lock() {
            public boolean acquire() throws InterruptedException {
                return lock.tryLock(0, ttlMs, TimeUnit.MILLISECONDS);
            }

            public boolean release() {
                try {
                    lock.unlock();
                    return true;
                } catch (IllegalMonitorStateException notOurs) {
                    return false;
                }
            }
        };
    }

    public static void main(String[] arguments) throws Exception {
        Config config = new Config();
        config.useSingleServer().setAddress("redis://" + arguments[1]).setConnectionMinimumIdleSize(1);
        RedissonClient redisson = Redisson.create(config);
        long ttlMs = Long.parseLong(arguments[3]);
        Lock lock = arguments[0].equals("lock") ? lock(redisson, arguments[2], ttlMs)
            : bucket(redisson, arguments[2], ttlMs);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            try {
                boolean done = line.equals("acquire") ? lock.acquire() : lock.release();
                System.out.println(done ? "yes" : "no");
            } catch (RedisException refused) {
                System.out.println(refused.getMessage().split(" ")[0]);
            }
        }
        Runtime.getRuntime().halt(0);
    }
}
