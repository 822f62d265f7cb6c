// SPDX-License-Identifier: MIT

//! rds_lock, readers and writers: it asks every 100 ms. The workload mix as proof/bench/pawl/several.c has
//! it; see proof/bench/driver/driver.h for what a driver is. Each client has a connection of its own.

use rds_lock::{Locker, Mode};
use redis::aio::MultiplexedConnection;
use std::io::{stdin, Read};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Barrier;

const LEASE_MS: u64 = 600_000;
const TURNS: usize = 20;
const STAGGER: usize = 7;
const PATIENCE: Duration = Duration::from_secs(5);
const READ: usize = 0;
const WRITE: usize = 1;

struct Board {
    waits_since: Vec<AtomicU64>, // the number of each client's question; u64::MAX: none
    asked: AtomicU64,
    granted: AtomicU64,
    inside: [AtomicI64; 2],
    overlaps: AtomicU64,
    stop: AtomicBool,
    seconds: f64,
    ready: Barrier,
    start: Barrier,
}

#[derive(Default)]
struct Tally {
    acquired: [u64; 2],
    total: u64,
    longest: [Duration; 2],
    passed: Vec<u64>,
}

impl Board {
    fn fits(&self) -> bool {
        let (readers, writers) = (self.inside[READ].load(SeqCst), self.inside[WRITE].load(SeqCst));
        writers == 0 || writers == 1 && readers == 0
    }

    /// How many asked after question `mine` and got in before it.
    fn passed(&self, mine: u64, before: u64) -> u64 {
        let waiting = self.waits_since.iter().filter(|w| w.load(SeqCst) < mine).count() as u64;
        before.saturating_sub(mine - waiting)
    }
}

async fn client(board: Arc<Board>, connection: MultiplexedConnection, me: usize) -> anyhow::Result<Tally> {
    let locker = |kind| {
        let mode = if kind == READ { Mode::R } else { Mode::W };
        Locker::new(connection.clone()).mode(&mode).to(LEASE_MS).rty_to(-1).ext_int(LEASE_MS / 3)
    };
    for kind in [READ, WRITE] {
        locker(kind).lock(format!("warm-{me}")).await?.await?;
    }
    board.ready.wait().await;
    board.start.wait().await;
    let (mut tally, until) = (Tally::default(), Instant::now() + Duration::from_secs_f64(board.seconds));
    for turn in me * STAGGER.. {
        if board.stop.load(SeqCst) {
            break;
        }
        let kind = if turn % TURNS == 0 { WRITE } else { READ };
        let asked = Instant::now();
        let mine = board.asked.fetch_add(1, SeqCst);
        board.waits_since[me].store(mine, SeqCst);
        let release = locker(kind).lock("bench-0".into()).await?;
        let now = Instant::now();
        board.waits_since[me].store(u64::MAX, SeqCst);
        let before = board.granted.fetch_add(1, SeqCst);
        board.inside[kind].fetch_add(1, SeqCst);
        if !board.fits() {
            board.overlaps.fetch_add(1, SeqCst);
        }
        tally.total += 1;
        if now <= until {
            tally.acquired[kind] += 1;
            tally.longest[kind] = tally.longest[kind].max(now - asked);
            if kind == WRITE {
                tally.passed.push(board.passed(mine, before));
            }
        }
        board.inside[kind].fetch_sub(1, SeqCst);
        release.await?;
    }
    Ok(tally)
}

fn jain(counts: &[u64]) -> f64 {
    let sum: f64 = counts.iter().map(|&n| n as f64).sum();
    let squares: f64 = counts.iter().map(|&n| (n * n) as f64).sum();
    if squares > 0.0 { sum * sum / (counts.len() as f64 * squares) } else { 0.0 }
}

fn report(board: &Board, tallies: &[Tally], stuck: usize) -> String {
    let counts = |kind: usize| tallies.iter().map(|t| t.acquired[kind]).collect::<Vec<_>>();
    let longest = |kind: usize| tallies.iter().map(|t| t.longest[kind].as_nanos()).max().unwrap_or(0);
    let (reads, writes) = (counts(READ), counts(WRITE));
    let mut passed: Vec<u64> = tallies.iter().flat_map(|t| t.passed.iter().copied()).collect();
    passed.sort();
    let nth = |share: f64| passed.get((passed.len().saturating_sub(1) as f64 * share) as usize).unwrap_or(&0);
    format!(
        "{{\"driver\": \"rds_lock\", \"workload\": \"mix\", \"clients\": {}, \"seconds\": {}, \"acquired\": {}, \
         \"total\": {}, \"overlaps\": {}, \"stuck\": {stuck}, \"reads\": {}, \"writes\": {}, \
         \"jain_reads\": {:.4}, \"jain_writes\": {:.4}, \"longest_read_ns\": {}, \"longest_write_ns\": {}, \
         \"passed_p99\": {}, \"passed_max\": {}}}",
        board.waits_since.len(), board.seconds, reads.iter().chain(&writes).sum::<u64>(),
        tallies.iter().map(|t| t.total).sum::<u64>(), board.overlaps.load(SeqCst), reads.iter().sum::<u64>(),
        writes.iter().sum::<u64>(), jain(&reads), jain(&writes), longest(READ), longest(WRITE), nth(0.99), nth(1.0))
}

async fn run(url: &str, clients: usize, seconds: f64) -> anyhow::Result<String> {
    let board = Arc::new(Board {
        waits_since: (0..clients).map(|_| AtomicU64::new(u64::MAX)).collect(),
        asked: AtomicU64::new(0),
        granted: AtomicU64::new(0),
        inside: [AtomicI64::new(0), AtomicI64::new(0)],
        overlaps: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        seconds,
        ready: Barrier::new(clients + 1),
        start: Barrier::new(clients + 1),
    });
    let server = redis::Client::open(url)?;
    let mut tasks = Vec::new();
    for me in 0..clients {
        let connection = server.get_multiplexed_async_connection().await?;
        tasks.push(tokio::spawn(client(board.clone(), connection, me)));
    }
    board.ready.wait().await;
    println!("ready");
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    board.start.wait().await;
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    board.stop.store(true, SeqCst);
    let end = tokio::time::Instant::now() + PATIENCE;
    let (mut tallies, mut stuck) = (Vec::new(), 0);
    for task in tasks {
        match tokio::time::timeout_at(end, task).await {
            Ok(done) => tallies.push(done??),
            Err(_) => stuck += 1,
        }
    }
    Ok(report(&board, &tallies, stuck))
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    anyhow::ensure!(words.len() == 5 && words[2] == "mix", "rds_lock knows the workload mix alone");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{}", runtime.block_on(run(&words[1], words[3].parse()?, words[4].parse()?))?);
    stdin().read_to_end(&mut Vec::new())?;
    std::process::exit(0)
}
