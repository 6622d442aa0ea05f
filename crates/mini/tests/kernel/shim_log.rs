//! The log: whole lines, both streams, rotation, full disks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;
use shim_protocol::{AttachStreams, Call, ExitRecord, LogConfig, Reply};

use crate::bundle::{Bundle, eventually, finish};
use crate::shim_client::{Shim, eventually_logged, log_lines};

#[test]
fn kernel_long_lines_come_in_parts_and_a_last_one_without_its_end() {
    let Some(bundle) = Bundle::shell("head -c 40000 /dev/zero | tr '\\0' x; echo; printf 'no end'")
    else {
        return;
    };
    Shim::start(&bundle, |_| {}).0.finish();
    let lines = log_lines(&bundle.log_file());
    let shape: Vec<(char, usize)> = lines
        .iter()
        .map(|(_, tag, text)| (*tag, text.len()))
        .collect();
    assert_eq!(
        shape,
        [
            ('P', 16384),
            ('P', 16384),
            ('F', 40000 - 2 * 16384),
            ('P', 6)
        ]
    );
    assert_eq!(lines.last().unwrap().2, "no end");
}

#[test]
fn kernel_a_million_lines_arrive_whole() {
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    bundle.config["process"]["args"] = json!(["seq", "1000000"]);
    let (shim, _) = Shim::start(&bundle, |_| {});
    assert_eq!(shim.finish().exit_code, 0);
    let log = std::fs::read_to_string(bundle.log_file()).unwrap();
    let mut number = 0;
    for line in log.lines() {
        number += 1;
        let (_, text) = line
            .split_once(" stdout F ")
            .unwrap_or_else(|| panic!("{number}: {line}"));
        assert_eq!(text.parse(), Ok(number));
    }
    assert_eq!(number, 1_000_000);
}

fn rotating(path: PathBuf, max_size_bytes: u64, max_files: u32) -> LogConfig {
    LogConfig {
        path: path.to_str().unwrap().to_owned(),
        max_size_bytes,
        max_files,
        max_buffer_bytes: None,
    }
}

#[test]
fn kernel_a_log_is_rotated_between_lines_and_the_oldest_goes() {
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    bundle.config["process"]["args"] = json!(["seq", "100000"]);
    let log = bundle.log_file();
    let config = rotating(log.clone(), 512 * 1024, 3);
    Shim::start(&bundle, |shim| shim.log = Some(config))
        .0
        .finish();
    let mut numbers = Vec::new();
    for name in [".2", ".1", ""] {
        let path = PathBuf::from(format!("{}{name}", log.display()));
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size <= 512 * 1024, "{} has {size} bytes", path.display());
        numbers.extend(
            log_lines(&path)
                .into_iter()
                .map(|(_, _, text)| text.parse::<u32>().unwrap()),
        );
    }
    assert!(!PathBuf::from(format!("{}.3", log.display())).exists());
    // What is left is the end, without a gap.
    let first = numbers[0];
    assert!(first > 1, "nothing was dropped");
    assert!(numbers.iter().copied().eq(first..=100_000));
}

#[test]
fn kernel_one_file_is_enough() {
    let Some(mut bundle) = Bundle::new() else {
        return;
    };
    bundle.config["process"]["args"] = json!(["seq", "100000"]);
    let config = rotating(bundle.log_file(), 256 * 1024, 1);
    Shim::start(&bundle, |shim| shim.log = Some(config))
        .0
        .finish();
    assert!(std::fs::metadata(bundle.log_file()).unwrap().len() <= 256 * 1024);
    assert_eq!(log_lines(&bundle.log_file()).last().unwrap().2, "100000");
    assert!(!PathBuf::from(format!("{}.1", bundle.log_file().display())).exists());
}

#[test]
fn kernel_no_log_is_no_log() {
    let Some(bundle) = Bundle::shell("echo lost") else {
        return;
    };
    Shim::start(&bundle, |config| config.log = None).0.finish();
    assert!(!bundle.log_file().exists());
}

/// A file system that is unmounted whatever happens.
struct Small(PathBuf);

impl Small {
    fn mount(path: PathBuf, size: &str) -> Self {
        std::fs::create_dir(&path).unwrap();
        let mut command = std::process::Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "small"])
            .arg(&path);
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        finish(command.spawn().unwrap()).success();
        Self(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // It may never have been mounted.
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).ok();
    }
}

#[test]
fn kernel_a_full_disk_stops_neither_the_program_nor_what_comes_later() {
    let Some(bundle) = Bundle::shell(
        "seq 100000; echo half >/tmp/half; while ! [ -e /tmp/freed ]; do sleep 0.02; done; echo afterwards; exit 4",
    ) else {
        return;
    };
    let small = Small::mount(bundle.path().join("logs"), "1m");
    let log = small.0.join("log");
    let ballast = small.0.join("ballast");
    std::fs::write(&ballast, vec![0; 512 * 1024]).unwrap();
    let config = rotating(log.clone(), 0, 1);
    let (shim, _) = Shim::start(&bundle, |shim| shim.log = Some(config));
    crate::bundle::eventually("it has passed the full disk", || {
        bundle.rootfs().join("tmp/half").exists()
    });
    std::fs::remove_file(&ballast).unwrap();
    std::fs::write(bundle.rootfs().join("tmp/freed"), "").unwrap();
    // The shim unmounts nothing: what it holds open of the small file system is closed with it.
    let record = shim.control_exit();
    assert_eq!(record.exit_code, 4);
    let lines = log_lines(&log);
    assert_eq!(lines.last().unwrap().2, "afterwards");
    let (marks, numbers): (Vec<_>, Vec<_>) = lines[..lines.len() - 1]
        .iter()
        .map(|(_, _, text)| text.clone())
        .partition(|text| text.starts_with("[mini: "));
    let numbers: Vec<u32> = numbers.iter().map(|text| text.parse().unwrap()).collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] < pair[1]),
        "lines are torn"
    );
    // What is missing is counted, where it is missing and in the record.
    let missing: u64 = (1..=100_000_u32)
        .filter(|number| numbers.binary_search(number).is_err())
        .map(|number| number.to_string().len() as u64 + 1)
        .sum();
    assert!(missing > 0);
    let marked: u64 = marks
        .iter()
        .map(|mark| gap(mark, "no space left on device"))
        .sum();
    assert_eq!((marked, record.log_lost_bytes), (missing, missing));
    let messages = bundle.shim_messages();
    assert!(messages.contains("no space left on device"), "{messages}");
    assert!(
        messages.lines().count() <= 2 * marks.len(),
        "not once each: {messages}"
    );
    drop(small);
    bundle.assert_nothing_left();
}

impl Shim<'_> {
    /// The exit record, where a mount below the bundle is the test's own.
    fn control_exit(mut self) -> ExitRecord {
        let record = self.control.exited();
        drop(self.control);
        let pid = rustix::process::Pid::from_raw(self.process);
        rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
        record
    }
}

#[test]
fn kernel_lines_of_both_streams_keep_their_order_each() {
    let Some(bundle) =
        Bundle::shell("i=0; while [ $i -lt 2000 ]; do echo $i; echo $i >&2; i=$((i+1)); done")
    else {
        return;
    };
    let (shim, _) = Shim::start(&bundle, |_| {});
    eventually_logged(&bundle, " 1999");
    shim.finish();
    let mut next: BTreeMap<String, u32> = BTreeMap::new();
    for (stream, tag, text) in log_lines(&bundle.log_file()) {
        let expected = next.entry(stream).or_default();
        assert_eq!((tag, text), ('F', expected.to_string()));
        *expected += 1;
    }
    assert_eq!(
        next,
        [("stderr".into(), 2000), ("stdout".into(), 2000)].into()
    );
}

/// How many bytes a mark says are missing.
fn gap(text: &str, reason: &str) -> u64 {
    text.strip_prefix("[mini: ")
        .and_then(|text| text.strip_suffix("]"))
        .and_then(|text| text.strip_suffix(reason))
        .and_then(|text| text.strip_suffix(" bytes of output are missing here: "))
        .unwrap_or_else(|| panic!("no mark: {text}"))
        .parse()
        .unwrap()
}

/// A log that keeps its writer waiting as a disk may: a fifo that nobody reads yet.
fn slow_log(bundle: &Bundle) -> std::fs::File {
    let path = bundle.log_file();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    // For both, so that it opens without a writer and ends when we say so.
    std::fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap()
}

/// Reads a fifo until some text has come.
fn read_until(mut log: &std::fs::File, end: &str) -> String {
    use std::io::Read as _;
    let mut text = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while !text
        .windows(end.len())
        .any(|window| window == end.as_bytes())
    {
        let count = log.read(&mut buffer).unwrap();
        text.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(text).unwrap()
}

const COUNTS: &str = "seq 300000; echo >/tmp/done; read line; echo last; read line";

#[test]
fn kernel_a_program_does_not_wait_for_a_log_that_may_lose_lines() {
    let Some(bundle) = Bundle::shell("seq 300000; echo >/tmp/done; cat") else {
        return;
    };
    let log = slow_log(&bundle);
    let max_bytes = 256 * 1024;
    let (mut shim, streams) = Shim::start(&bundle, |config| {
        config.stdin_open = true;
        config.stdin_once = true;
        config.attached = vec![AttachStreams {
            stdin: true,
            stdout: false,
            stderr: false,
        }];
        config.log.as_mut().unwrap().max_buffer_bytes = Some(max_bytes);
    });
    eventually("the program is done though nobody takes its log", || {
        bundle.rootfs().join("tmp/done").exists()
    });
    // Nor does the shim wait, and it tells how much is lost.
    eventually("the loss is counted", || {
        let Reply::State(state) = shim.control.ask(Call::State) else {
            panic!("no state")
        };
        state.log_lost_bytes > 0
    });
    // Once the log is taken again lines get there; the first of these may still be among the lost.
    let (mut probes, mut text) = (0, Vec::new());
    while !text.ends_with(b" stdout F probe\n") {
        std::io::Write::write_all(&mut &streams[0], b"probe\n").unwrap();
        probes += 1;
        read_for(&log, std::time::Duration::from_millis(200), &mut text);
    }
    crate::shim_client::end_input(&streams[0]);
    let record = shim.finish();
    read_for(&log, std::time::Duration::from_millis(200), &mut text);

    let text = String::from_utf8(text).unwrap();
    let (mut kept, mut missing, mut last) = (0, 0, 0_u32);
    for line in text.lines() {
        let text = line.splitn(4, ' ').nth(3).unwrap();
        if text.starts_with("[mini: ") {
            missing += gap(text, "the log could not keep up");
            continue;
        }
        kept += text.len() as u64 + 1;
        if let Ok(number) = text.parse() {
            assert!(number > last, "{number} comes after {last}");
            last = number;
        } else {
            assert_eq!(text, "probe");
        }
    }
    let written: u64 = (1..=300_000_u32)
        .map(|number| number.to_string().len() as u64 + 1)
        .sum();
    assert_eq!(kept + missing, written + probes * 6);
    assert_eq!(record.log_lost_bytes, missing);
    assert!(missing > 0 && text.len() as u64 >= max_bytes);
}

/// Reads what is there until nothing has come for a while.
fn read_for(log: &std::fs::File, quiet: std::time::Duration, text: &mut Vec<u8>) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut buffer = vec![0; 64 * 1024];
    let quiet = Timespec::try_from(quiet).unwrap();
    while poll(&mut [PollFd::new(log, PollFlags::IN)], Some(&quiet)).unwrap() > 0 {
        let count = rustix::io::read(log, &mut buffer).unwrap();
        text.extend_from_slice(&buffer[..count]);
    }
}

#[test]
fn kernel_a_program_waits_for_a_log_that_may_not() {
    let Some(bundle) = Bundle::shell(COUNTS) else {
        return;
    };
    let log = slow_log(&bundle);
    let (shim, streams) = Shim::start(&bundle, |config| {
        config.stdin_open = true;
        config.attached = vec![AttachStreams {
            stdin: true,
            stdout: false,
            stderr: false,
        }];
    });
    let done = bundle.rootfs().join("tmp/done");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(!done.exists(), "it did not wait");
    let text = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(&log, " stdout F last\n"));
        std::io::Write::write_all(&mut &streams[0], b"go on\n").unwrap();
        reader.join().unwrap()
    });
    assert!(done.exists());
    let numbers = text
        .lines()
        .map(|line| line.splitn(4, ' ').nth(3).unwrap())
        .take(300_000)
        .map(|text| text.parse::<u32>().unwrap());
    assert!(numbers.eq(1..=300_000));
    std::io::Write::write_all(&mut &streams[0], b"end\n").unwrap();
    assert_eq!(shim.finish().log_lost_bytes, 0);
}

#[test]
fn kernel_a_log_without_waiting_is_whole_when_the_disk_keeps_up() {
    let Some(bundle) =
        Bundle::shell("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; printf end")
    else {
        return;
    };
    let (shim, _) = Shim::start(&bundle, |config| {
        config.log.as_mut().unwrap().max_buffer_bytes = Some(1 << 20);
    });
    assert_eq!(shim.finish().log_lost_bytes, 0);
    let lines = log_lines(&bundle.log_file());
    assert_eq!(lines.len(), 3001);
    assert_eq!(lines[2999].2, "line 2999");
    assert_eq!(lines[3000], ("stdout".into(), 'P', "end".into()));
}

#[test]
fn kernel_a_log_goes_on_when_the_process_that_writes_it_is_killed() {
    let Some(bundle) = Bundle::shell("echo before; read line; echo after; read line") else {
        return;
    };
    let (mut shim, streams) = Shim::start(&bundle, |config| {
        config.stdin_open = true;
        config.attached = vec![crate::shim_client::ALL];
        config.log.as_mut().unwrap().max_buffer_bytes = Some(1 << 20);
    });
    eventually_logged(&bundle, "before");
    let children = format!("/proc/{0}/task/{0}/children", shim.process);
    let writer = || {
        let children = std::fs::read_to_string(&children).unwrap();
        children.split_whitespace().map(str::to_owned).find(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| name == "mini-log\n")
        })
    };
    let first = writer().unwrap();
    // Nothing of the container or of the engine is held by it.
    let open = std::fs::read_dir(format!("/proc/{first}/fd"))
        .unwrap()
        .count();
    assert_eq!(open, 5);
    let pid = rustix::process::Pid::from_raw(first.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    eventually("another one is there", || {
        writer().is_some_and(|pid| pid != first)
    });
    std::io::Write::write_all(&mut &streams[0], b"go on\n").unwrap();
    eventually_logged(&bundle, "after");
    shim.signal(9);
    assert_eq!(shim.finish().log_lost_bytes, 0);
}
