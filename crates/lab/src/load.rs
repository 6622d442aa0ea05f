//! Load on CPU, memory, processes, disk and log.

use std::{
    ffi::OsStr,
    fs::File,
    io::Write as _,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Problem,
    output::{say, warn},
    size,
};

/// Memory is taken in pieces of this size, in bytes.
const PIECE_BYTES: usize = 1 << 20;
const PAGE_BYTES: usize = 4096;

/// Waits for a time, or without end.
pub(crate) fn hold(time: Option<Duration>) {
    match time {
        Some(time) => thread::sleep(time),
        None => loop {
            thread::sleep(Duration::from_hours(1));
        },
    }
}

/// Burns CPU on `threads` threads and tells how much it got.
pub(crate) fn cpu(threads: usize, time: Option<Duration>) -> Result<u8, Problem> {
    let end = time.map(|time| Instant::now() + time);
    say(&format!("burning CPU on {threads} thread(s)"))?;
    let begin = Instant::now();
    let mut workers = Vec::new();
    for number in 1..threads {
        let worker = thread::Builder::new().name(format!("burn-{number}"));
        workers.push(
            worker
                .spawn(move || burn(end))
                .map_err(Problem::of("start a thread"))?,
        );
    }
    burn(end);
    for worker in workers {
        drop(worker.join());
    }
    let wall = begin.elapsed().as_secs_f64();
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let used = Duration::new(
        time.tv_sec.try_into().unwrap_or_default(),
        time.tv_nsec.try_into().unwrap_or_default(),
    )
    .as_secs_f64();
    say(&format!(
        "got {used:.2} s of CPU in {wall:.2} s: {:.0} % of one CPU",
        100.0 * used / wall.max(0.001)
    ))?;
    Ok(0)
}

fn burn(end: Option<Instant>) {
    let mut value = 1_u64;
    loop {
        for _ in 0..1_000_000 {
            value = std::hint::black_box(
                value
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1),
            );
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            return;
        }
    }
}

/// Takes memory, touches every page, and tells each time it has doubled.
pub(crate) fn memory(bytes: u64, time: Option<Duration>) -> Result<u8, Problem> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let (mut taken, mut next_report) = (0_u64, 16 << 20);
    while taken < bytes {
        let want = usize::try_from(bytes - taken)
            .unwrap_or(PIECE_BYTES)
            .min(PIECE_BYTES);
        let mut piece = Vec::new();
        if piece.try_reserve_exact(want).is_err() {
            warn(&format!(
                "took {} of {}: no more address space",
                size::show(taken),
                size::show(bytes)
            ));
            return Ok(1);
        }
        piece.resize(want, 0);
        for page in piece.chunks_mut(PAGE_BYTES) {
            if let Some(first) = page.first_mut() {
                *first = 1;
            }
        }
        pieces.push(std::hint::black_box(piece));
        taken += want as u64;
        if taken >= next_report && taken < bytes {
            say(&format!("took {}", size::show(taken)))?;
            next_report *= 2;
        }
    }
    say(&format!(
        "took {} of {}",
        size::show(taken),
        size::show(bytes)
    ))?;
    hold(time);
    drop(std::hint::black_box(pieces));
    Ok(0)
}

/// Starts processes that sleep, as many as the limit lets.
pub(crate) fn fork(count: u64, time: Option<Duration>) -> Result<u8, Problem> {
    let mut children: Vec<Child> = Vec::new();
    let mut stopped = None;
    for _ in 0..count {
        match Command::new("/proc/self/exe").arg("sleep").spawn() {
            Ok(child) => children.push(child),
            Err(error) => {
                stopped = Some(error);
                break;
            }
        }
    }
    let done = match &stopped {
        None => say(&format!("started {count} of {count} processes")),
        Some(error) => say(&format!(
            "started {} of {count} processes, then: {error}",
            children.len()
        )),
    };
    hold(time);
    for child in &mut children {
        drop(child.kill());
    }
    for mut child in children {
        drop(child.wait());
    }
    done?;
    Ok(u8::from(stopped.is_some()))
}

/// Writes a file and tells the rate.
pub(crate) fn write(path: &OsStr, bytes: u64, sync: bool) -> Result<u8, Problem> {
    let shown = path.to_string_lossy();
    let mut file = File::create(path).map_err(Problem::of(format!("create {shown}")))?;
    let piece = vec![0x5a; PIECE_BYTES];
    let begin = Instant::now();
    let mut written = 0_u64;
    while written < bytes {
        let want = usize::try_from(bytes - written)
            .unwrap_or(PIECE_BYTES)
            .min(PIECE_BYTES);
        file.write_all(&piece[..want]).map_err(Problem::of(format!(
            "wrote {} of {} to {shown}",
            size::show(written),
            size::show(bytes)
        )))?;
        written += want as u64;
    }
    if sync {
        file.sync_all()
            .map_err(Problem::of(format!("sync {shown}")))?;
    }
    let seconds = begin.elapsed().as_secs_f64().max(0.000_001);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = written as f64 / seconds / f64::from(1 << 20);
    say(&format!(
        "wrote {} to {shown} in {seconds:.2} s: {rate:.1} MiB/s",
        size::show(written)
    ))?;
    Ok(0)
}

/// Writes numbered lines at a rate.
pub(crate) fn log(rate: f64, lines: Option<u64>, stderr_every: u64) -> Result<u8, Problem> {
    if !rate.is_finite() || rate <= 0.0 {
        return Err(Problem::Usage("rate must be more than 0".into()));
    }
    let begin = Instant::now();
    let mut number = 0_u64;
    while lines.is_none_or(|lines| number < lines) {
        number += 1;
        let line = format!(
            "line {number} of {}",
            lines.map_or("many".into(), |lines| lines.to_string())
        );
        if stderr_every > 0 && number.is_multiple_of(stderr_every) {
            drop(writeln!(std::io::stderr(), "{line}"));
        } else {
            say(&line)?;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "wrong by less than a line only after 2^53 of them"
        )]
        let due = Duration::try_from_secs_f64(number as f64 / rate).unwrap_or(Duration::MAX);
        if let Some(wait) = due.checked_sub(begin.elapsed()) {
            thread::sleep(wait);
        }
    }
    Ok(0)
}
