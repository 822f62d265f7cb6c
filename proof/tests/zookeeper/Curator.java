// SPDX-License-Identifier: MIT
// Curator's InterProcessMutex on one path and InterProcessReadWriteLock on another, driven by lines:
// "mutex acquire MS" is answered with "yes" or "no", "mutex release" with "released"; also "read" and
// "write". It says "ready" when it is connected.
// usage: java Curator.java HOST:PORT PATH_OF_MUTEX PATH_OF_READ_WRITE SESSION_MS
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.retry.RetryOneTime;

public class Curator {
    public static void main(String[] args) throws Exception {
        int session = Integer.parseInt(args[3]);
        CuratorFramework client =
            CuratorFrameworkFactory.newClient(args[0], session, session, new RetryOneTime(100));
        client.start();
        client.blockUntilConnected();
        InterProcessReadWriteLock both = new InterProcessReadWriteLock(client, args[2]);
        Map<String, InterProcessMutex> locks = Map.of("mutex", new InterProcessMutex(client, args[1]),
            "read", both.readLock(), "write", both.writeLock());
        System.out.println("ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null;) {
            String[] words = line.split(" ");
            InterProcessMutex lock = locks.get(words[0]);
            if (words[1].equals("acquire")) {
                long ms = Long.parseLong(words[2]);
                System.out.println(lock.acquire(ms, TimeUnit.MILLISECONDS) ? "yes" : "no");
            } else {
                lock.release();
                System.out.println("released");
            }
        }
        client.close();
    }
}
