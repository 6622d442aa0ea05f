use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    pin::pin,
};

use bollard_stubs::models::{HostConfig, HostConfigLogConfig};
use futures_util::{StreamExt as _, TryStreamExt as _};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;
use crate::container::fixture;

/// A line of the program's output.
#[derive(Clone, Debug)]
struct Line {
    stderr: bool,
    text: Vec<u8>,
    second: i64,
}

/// Writes a log as the shim does.
struct Shim {
    log: PathBuf,
    file: File,
    size: usize,
    max_size: usize,
    max_files: u32,
}

impl Shim {
    fn open(dir: &Path, max_size: usize, max_files: u32) -> Self {
        let log = dir.join("log");
        let file = Self::file(&log);
        Self {
            log,
            file,
            size: 0,
            max_size,
            max_files,
        }
    }

    fn file(log: &Path) -> File {
        let mut options = OpenOptions::new();
        options.create(true).append(true).open(log).unwrap()
    }

    fn write_line(&mut self, line: &Line) {
        let mut parts = line.text.chunks(16 * 1024).peekable();
        let mut bytes = Vec::new();
        if parts.peek().is_none() {
            put(&mut bytes, line, true, b"");
        }
        while let Some(part) = parts.next() {
            put(&mut bytes, line, parts.peek().is_none(), part);
        }
        self.write(&bytes);
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.size > 0 && self.size + bytes.len() > self.max_size {
            self.rotate();
        }
        self.file.write_all(bytes).unwrap();
        self.size += bytes.len();
    }

    fn rotate(&mut self) {
        let numbered = |number: u32| format!("{}.{number}", self.log.display());
        for number in (1..self.max_files - 1).rev() {
            drop(fs::rename(numbered(number), numbered(number + 1)));
        }
        if self.max_files == 1 {
            fs::remove_file(&self.log).unwrap();
        } else {
            fs::rename(&self.log, numbered(1)).unwrap();
        }
        self.file = Self::file(&self.log);
        self.size = 0;
    }
}

fn put(bytes: &mut Vec<u8>, line: &Line, ends_line: bool, text: &[u8]) {
    let time = time::rfc3339(Some(line.second * 1_000_000_000));
    let stream = if line.stderr { "stderr" } else { "stdout" };
    let tag = if ends_line { 'F' } else { 'P' };
    bytes.extend_from_slice(format!("{time} {stream} {tag} ").as_bytes());
    bytes.extend_from_slice(text);
    bytes.push(b'\n');
}

fn both() -> LogRequest {
    LogRequest {
        stdout: true,
        stderr: true,
        ..LogRequest::default()
    }
}

fn read(dir: &Path, request: LogRequest) -> Vec<u8> {
    let selection = request.selection();
    let mut reader =
        LogReader::open(dir.join("log"), selection, request.format, request.follow).unwrap();
    let mut output = Vec::new();
    loop {
        let batch = reader.read().unwrap();
        output.extend_from_slice(&batch.output);
        match batch.then {
            Then::More => {}
            Then::Wait | Then::End => return output,
        }
    }
}

fn line(stderr: bool, text: &str, second: i64) -> Line {
    Line {
        stderr,
        text: text.into(),
        second,
    }
}

fn text(dir: &Path, request: LogRequest) -> String {
    String::from_utf8(read(dir, request)).unwrap()
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let length = prop_oneof![6 => 0_usize..40, 1 => 16_000_usize..50_000];
    let line = (any::<bool>(), length, 0_i64..3).prop_map(|(stderr, length, wait)| {
        // No two lines look alike: the length tells them apart.
        let text = b"0123456789abcdef"
            .iter()
            .copied()
            .cycle()
            .take(length)
            .collect();
        Line {
            stderr,
            text,
            second: wait,
        }
    });
    proptest::collection::vec(line, 0..60).prop_map(|mut lines| {
        let mut now = 1000;
        for line in &mut lines {
            now += line.second;
            line.second = now;
        }
        lines
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_wanted_comes_and_nothing_else(
        lines in lines(),
        max_size in 1_usize..200_000,
        streams in prop_oneof![Just((true, true)), Just((true, false)), Just((false, true))],
        tail in proptest::option::of(0_usize..70),
        since in proptest::option::of(990_i64..1100),
        until in proptest::option::of(990_i64..1100),
        follow: bool,
        timestamps: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut shim = Shim::open(dir.path(), max_size, 1000);
        for line in &lines {
            shim.write_line(line);
        }
        let nanoseconds = |second: i64| second * 1_000_000_000;
        let request = LogRequest {
            stdout: streams.0,
            stderr: streams.1,
            follow,
            tail: tail.map(|tail| tail as u64),
            since_ns: since.map(nanoseconds),
            until_ns: until.map(nanoseconds),
            format: Format { multiplexed: false, timestamps },
        };
        let wanted: Vec<&Line> = lines
            .iter()
            .filter(|line| if line.stderr { streams.1 } else { streams.0 })
            .filter(|line| since.is_none_or(|since| line.second >= since))
            .filter(|line| until.is_none_or(|until| line.second <= until))
            .collect();
        let skipped = tail.map_or(0, |tail| wanted.len().saturating_sub(tail));
        let mut expected = Vec::new();
        for line in &wanted[skipped..] {
            if timestamps {
                expected.extend_from_slice(time::rfc3339(Some(nanoseconds(line.second))).as_bytes());
                expected.push(b' ');
            }
            expected.extend_from_slice(&line.text);
            expected.push(b'\n');
        }
        prop_assert_eq!(read(dir.path(), request), expected);
    }

    #[test]
    fn no_content_panics(content in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..2000), tail in proptest::option::of(0_u64..5)) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("log"), content).unwrap();
        read(dir.path(), LogRequest { tail, ..both() });
    }
}

#[test]
fn frames_name_their_stream_and_parts_of_a_line_have_one_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut shim = Shim::open(dir.path(), 1 << 20, 1);
    let (out, err) = (line(false, "", 1), line(true, "", 2));
    let mut bytes = Vec::new();
    put(&mut bytes, &out, false, b"a");
    put(&mut bytes, &err, true, b"e");
    put(&mut bytes, &out, true, b"b");
    shim.write(&bytes);
    let format = Format {
        multiplexed: true,
        timestamps: true,
    };
    let output = read(dir.path(), LogRequest { format, ..both() });
    let expected = [
        b"\x01\0\0\0\0\0\0\x201970-01-01T00:00:01.000000000Z a".as_slice(),
        b"\x02\0\0\0\0\0\0\x211970-01-01T00:00:02.000000000Z e\n",
        b"\x01\0\0\0\0\0\0\x02b\n",
    ]
    .concat();
    assert_eq!(output, expected);
    // The line that ends last counts as the last one, with its parts.
    let tail = LogRequest {
        tail: Some(2),
        ..both()
    };
    assert_eq!(text(dir.path(), tail), "ae\nb\n");
}

#[test]
fn damaged_and_half_written_records_cost_themselves_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut shim = Shim::open(dir.path(), 1 << 30, 1);
    shim.write_line(&line(false, "one", 1));
    shim.write(b"rubbish\n\n");
    shim.write(&vec![b'x'; 300_000]);
    shim.write(b"\n");
    shim.write_line(&line(false, "two", 2));
    shim.write(b"1970-01-01T00:00:03.000000000Z stdout F thr");
    assert_eq!(text(dir.path(), both()), "one\ntwo\n");
    let tail = |tail| LogRequest {
        tail: Some(tail),
        ..both()
    };
    assert_eq!(text(dir.path(), tail(1)), "two\n");
    assert_eq!(text(dir.path(), tail(5)), "one\ntwo\n");
    assert_eq!(text(dir.path(), tail(0)), "");
    shim.write(b"ee\n");
    assert_eq!(text(dir.path(), tail(2)), "two\nthree\n");
}

#[test]
fn files_that_are_rotated_away_are_read_when_their_follower_is_on_its_way() {
    const LINES: usize = 80_000;
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut shim = Shim::open(dir.path(), usize::MAX, 2);
    let mut numbers = 0..;
    let mut write = |shim: &mut Shim| {
        let line = line(false, "", 1);
        let mut bytes = Vec::new();
        for number in numbers.by_ref().take(LINES) {
            put(&mut bytes, &line, true, number.to_string().as_bytes());
        }
        shim.write(&bytes);
    };
    write(&mut shim);
    let selection = both().selection();
    let mut reader = LogReader::open(log, selection, Format::default(), true).unwrap();
    let mut output = reader.read().unwrap().output;
    // Each time the file before the last one is removed, while the first is still being read.
    for _ in 0..3 {
        shim.rotate();
        write(&mut shim);
        output.extend(reader.read().unwrap().output);
    }
    loop {
        let batch = reader.read().unwrap();
        output.extend(batch.output);
        if batch.then == Then::Wait {
            break;
        }
    }
    let text = String::from_utf8(output).unwrap();
    let numbers = text.lines().map(|line| line.parse::<usize>().unwrap());
    assert!(numbers.eq(0..4 * LINES));
}

#[test]
fn a_missing_log_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read(dir.path(), both()).is_empty());
    assert!(
        read(
            dir.path(),
            LogRequest {
                follow: true,
                tail: Some(3),
                ..both()
            }
        )
        .is_empty()
    );
}

/// A container that runs, and what hands out the kernel's news.
struct Running {
    dir: TempDir,
    container: Arc<Container>,
    watch: Arc<LogWatch>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let container = fixture::container(dir.path(), HostConfig::default());
        container.set_phase(|phase| phase.running = true);
        let (watch, shutdown, tasks) = (
            LogWatch::open(),
            CancellationToken::new(),
            TaskTracker::new(),
        );
        tasks.spawn(Arc::clone(&watch).run(shutdown.clone()));
        Self {
            dir,
            container,
            watch,
            shutdown,
            tasks,
        }
    }

    fn end_run(&self) {
        self.container.set_phase(|phase| {
            phase.running = false;
            phase.exits += 1;
        });
    }

    async fn collect(&self, request: LogRequest) -> String {
        let pieces = self.container.logs(request, &self.watch).unwrap();
        let all: Vec<Bytes> = tokio::time::timeout(Duration::from_mins(1), pieces.try_collect())
            .await
            .expect("the log ends")
            .unwrap();
        String::from_utf8(all.concat()).unwrap()
    }

    async fn close(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn following() -> LogRequest {
    LogRequest {
        follow: true,
        ..both()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_a_follower_loses_and_doubles_nothing() {
    const LINES: usize = 20_000;
    let run = Running::new();
    let mut shim = Shim::open(run.dir.path(), 20_000, 1000);
    let writer = std::thread::spawn(move || {
        for number in 0..LINES {
            shim.write_line(&line(number % 3 == 0, &number.to_string(), 1));
            std::thread::yield_now();
        }
    });
    let end = async {
        tokio::task::spawn_blocking(move || writer.join().unwrap())
            .await
            .unwrap();
        run.end_run();
    };
    let (text, ()) = tokio::join!(run.collect(following()), end);
    let numbers = text.lines().map(|line| line.parse::<usize>().unwrap());
    assert!(numbers.eq(0..LINES));
    run.close().await;
}

#[tokio::test]
async fn following_goes_on_over_a_log_that_keeps_one_file() {
    let run = Running::new();
    let mut shim = Shim::open(run.dir.path(), 1, 1);
    let mut pieces = pin!(run.container.logs(following(), &run.watch).unwrap());
    for number in 0..50 {
        shim.write_line(&line(false, &number.to_string(), 1));
        let piece = tokio::time::timeout(Duration::from_secs(10), pieces.next())
            .await
            .expect("the line comes")
            .unwrap()
            .unwrap();
        assert_eq!(piece, format!("{number}\n"));
    }
    run.end_run();
    assert!(pieces.next().await.is_none());
    run.close().await;
}

#[tokio::test]
async fn following_ends_with_the_run_even_when_another_has_begun() {
    let run = Running::new();
    let mut shim = Shim::open(run.dir.path(), 1 << 20, 1);
    shim.write_line(&line(false, "old", 1));
    let request = LogRequest {
        tail: Some(0),
        ..following()
    };
    let mut pieces = pin!(run.container.logs(request, &run.watch).unwrap());
    let none = tokio::time::timeout(Duration::from_millis(50), pieces.next()).await;
    assert!(none.is_err(), "{none:?}");
    shim.write_line(&line(false, "last", 2));
    run.end_run();
    run.container.set_phase(|phase| phase.running = true);
    assert_eq!(pieces.next().await.unwrap().unwrap(), "last\n");
    assert!(pieces.next().await.is_none());
    run.close().await;
}

#[tokio::test]
async fn what_does_not_run_is_not_followed() {
    let run = Running::new();
    let mut shim = Shim::open(run.dir.path(), 1 << 20, 1);
    shim.write_line(&line(false, "past", 1));
    run.end_run();
    assert_eq!(run.collect(following()).await, "past\n");
    run.close().await;
}

#[tokio::test]
async fn until_ends_following_when_its_time_comes() {
    let run = Running::new();
    let mut shim = Shim::open(run.dir.path(), 1 << 20, 1);
    let now = time::now_ns();
    shim.write_line(&line(false, "now", now / 1_000_000_000));
    for (until_ns, expected) in [
        (now - 3_000_000_000, ""),
        (now, "now\n"),
        (now + 100_000_000, "now\n"),
    ] {
        let request = LogRequest {
            until_ns: Some(until_ns),
            ..following()
        };
        assert_eq!(run.collect(request).await, expected);
    }
    run.close().await;
}

#[tokio::test]
async fn containers_without_a_log_say_so_in_dockers_words() {
    let dir = tempfile::tempdir().unwrap();
    let host_config = HostConfig {
        log_config: Some(HostConfigLogConfig {
            typ: Some("none".into()),
            config: None,
        }),
        ..HostConfig::default()
    };
    let container = fixture::container(dir.path(), host_config);
    let refused = container.logs(both(), &LogWatch::open());
    let error = refused.err().unwrap();
    assert!(matches!(error, EngineError::Unsupported(_)));
    assert_eq!(
        error.to_string(),
        "configured logging driver does not support reading"
    );
}
