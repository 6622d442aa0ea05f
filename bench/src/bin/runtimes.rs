//! Runs command lines one after the other in each round, with the order turning, and compares how long they take.
//!
//! `runtimes ROUNDS PAUSE_MS NAME=COMMAND LINE…`: words of a line are separated by blanks, `@` in a word is replaced by a
//! number that is new each time. The first line is what the others are compared with.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measuring program prints and stops at the first surprise"
)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

struct Candidate {
    name: String,
    words: Vec<String>,
    wall: Vec<Duration>,
    cpu: Vec<Duration>,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().unwrap().parse().unwrap();
    let pause = Duration::from_millis(arguments.next().unwrap().parse().unwrap());
    let mut candidates: Vec<Candidate> = arguments
        .map(|argument| {
            let (name, line) = argument.split_once('=').unwrap();
            Candidate {
                name: name.to_owned(),
                words: line.split_ascii_whitespace().map(str::to_owned).collect(),
                wall: Vec::new(),
                cpu: Vec::new(),
            }
        })
        .collect();
    let count = candidates.len();
    let mut number = std::process::id();
    for round in 0..=rounds {
        for turn in 0..count {
            let candidate = &mut candidates[(round + turn) % count];
            std::thread::sleep(pause);
            number += 1;
            let words: Vec<String> = candidate
                .words
                .iter()
                .map(|word| word.replace('@', &number.to_string()))
                .collect();
            let cpu = sys::process::children_cpu_time();
            let started = Instant::now();
            let status = Command::new(&words[0])
                .args(&words[1..])
                .stdin(Stdio::null())
                .status()
                .unwrap();
            let wall = started.elapsed();
            assert!(status.success(), "{}: {status}", candidate.name);
            // The first round warms up.
            if round > 0 {
                candidate.wall.push(wall);
                candidate
                    .cpu
                    .push(sys::process::children_cpu_time().saturating_sub(cpu));
            }
        }
    }
    let first = summary(&mut candidates[0].wall)[1];
    for candidate in &mut candidates {
        let [minimum, median, p95] = summary(&mut candidate.wall);
        let [_, cpu, _] = summary(&mut candidate.cpu);
        println!(
            "{:<16} pause {:>3} ms   min {minimum:6.2}  median {median:6.2}  p95 {p95:6.2}  CPU {cpu:6.2} ms   {:5.2} x the first",
            candidate.name,
            pause.as_millis(),
            median / first
        );
    }
}

/// Minimum, median and 95th percentile in milliseconds.
fn summary(samples: &mut [Duration]) -> [f64; 3] {
    samples.sort_unstable();
    let at = |index: usize| samples[index.min(samples.len() - 1)].as_secs_f64() * 1e3;
    [at(0), at(samples.len() / 2), at(samples.len() * 95 / 100)]
}
