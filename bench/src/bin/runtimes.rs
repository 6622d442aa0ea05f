//! Takes containers through their lives in each round, one runtime after the other with the order turning, and compares what it costs.
//!
//! `runtimes ROUNDS PAUSE_MS BUNDLE DIRECTORY NAME=WORDS…`. WORDS are a program with its global flags, and are used for `create`, `start`
//! and `delete` of BUNDLE, with a wait for the program's end between; with `run:` before them for `run` alone; with `once:` before them they
//! are a whole command line. `@` in a word is replaced by a name that is new each time. DIRECTORY is for pid files. The first is
//! what the others are compared with.
#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::zombie_processes,
    reason = "a measuring program prints and stops at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sys::process::{Usage, wait_with_usage};

#[derive(Clone, Copy)]
enum Life {
    /// `create`, `start`, the program's end, `delete`.
    Commands,
    /// `run`.
    Run,
    /// A command line of its own.
    Once,
}

struct Candidate {
    name: String,
    life: Life,
    words: Vec<String>,
    wall: Vec<f64>,
    cpu: Vec<f64>,
    peak_bytes: u64,
}

struct Place {
    bundle: String,
    pid_file: PathBuf,
}

fn main() {
    // What a runtime's `create` leaves behind comes to us, and is counted.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().unwrap().parse().unwrap();
    let pause = Duration::from_millis(arguments.next().unwrap().parse().unwrap());
    let bundle = arguments.next().unwrap();
    let pid_file = Path::new(&arguments.next().unwrap()).join("pid");
    let place = Place { bundle, pid_file };
    let mut candidates: Vec<Candidate> = arguments.map(|argument| candidate(&argument)).collect();
    let count = candidates.len();
    let mut number = std::process::id();
    for round in 0..=rounds {
        for turn in 0..count {
            let candidate = &mut candidates[(round + turn) % count];
            std::thread::sleep(pause);
            number += 1;
            let started = Instant::now();
            let usage = live(candidate, &place, &format!("bench-{number}"));
            let wall = started.elapsed();
            // The first round warms up.
            if round > 0 {
                candidate.wall.push(wall.as_secs_f64() * 1e3);
                candidate.cpu.push(usage.cpu.as_secs_f64() * 1e3);
                candidate.peak_bytes = candidate.peak_bytes.max(usage.peak_bytes);
            }
        }
    }
    print(&mut candidates, pause);
}

fn candidate(argument: &str) -> Candidate {
    let (name, line) = argument.split_once('=').unwrap();
    let (life, line) = match line.split_once(':') {
        Some(("run", line)) => (Life::Run, line),
        Some(("once", line)) => (Life::Once, line),
        _ => (Life::Commands, line),
    };
    Candidate {
        name: name.to_owned(),
        life,
        words: line.split_ascii_whitespace().map(str::to_owned).collect(),
        wall: Vec::new(),
        cpu: Vec::new(),
        peak_bytes: 0,
    }
}

/// One whole life of a container.
fn live(candidate: &Candidate, place: &Place, id: &str) -> Usage {
    let bundle = place.bundle.as_str();
    match candidate.life {
        Life::Once => run(candidate, &[], id),
        Life::Run => run(candidate, &["run", "--bundle", bundle, id], id),
        Life::Commands => {
            let pid_file = place.pid_file.to_str().unwrap();
            let create = ["create", "--bundle", bundle, "--pid-file", pid_file, id];
            let mut all = run(candidate, &create, id);
            let pid = std::fs::read_to_string(&place.pid_file).unwrap();
            all.add(run(candidate, &["start", id], id));
            // The program's own end, as an engine learns of it.
            all.add(wait_with_usage(pid.trim().parse().unwrap()).unwrap().1);
            all.add(run(candidate, &["delete", id], id));
            all
        }
    }
}

fn run(candidate: &Candidate, more: &[&str], id: &str) -> Usage {
    let words = candidate.words.iter().map(|word| word.replace('@', id));
    let words: Vec<String> = words.collect();
    let child = Command::new(&words[0])
        .args(&words[1..])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (status, usage) = wait_with_usage(child.id().cast_signed()).unwrap();
    assert_eq!(status, 0, "{} {more:?}", candidate.name);
    usage
}

fn print(candidates: &mut [Candidate], pause: Duration) {
    println!(
        "pauses of {} ms     wall, ms: median (min, p95)      x first   CPU, ms   x first   peak, MB",
        pause.as_millis()
    );
    let mut first = None;
    for candidate in candidates {
        let [minimum, median, p95] = summary(&mut candidate.wall);
        let [_, cpu, _] = summary(&mut candidate.cpu);
        let (wall_of_first, cpu_of_first) = *first.get_or_insert((median, cpu));
        println!(
            "  {:<14} {median:8.2} ({minimum:6.2}, {p95:7.2}) {:14.2} {cpu:9.2} {:9.2} {:10.1}",
            candidate.name,
            median / wall_of_first,
            cpu / cpu_of_first,
            candidate.peak_bytes as f64 / 1e6,
        );
    }
}

/// Minimum, median and 95th percentile.
fn summary(samples: &mut [f64]) -> [f64; 3] {
    samples.sort_unstable_by(f64::total_cmp);
    let at = |index: usize| samples[index.min(samples.len() - 1)];
    [at(0), at(samples.len() / 2), at(samples.len() * 95 / 100)]
}
