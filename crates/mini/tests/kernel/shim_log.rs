//! The log: whole lines, both streams, rotation, full disks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;
use shim_protocol::LogConfig;

use crate::bundle::{Bundle, finish};
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
    assert_eq!(shim.control_exit(), 4);
    let lines = log_lines(&log);
    assert_eq!(lines.last().unwrap().2, "afterwards");
    let numbers: Vec<u32> = lines[..lines.len() - 1]
        .iter()
        .map(|(_, _, text)| text.parse().unwrap())
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] < pair[1]),
        "lines are torn"
    );
    assert!(
        bundle.shim_messages().contains("no space left on device")
            || bundle.shim_messages().contains("No space left on device"),
        "{}",
        bundle.shim_messages()
    );
    drop(small);
    bundle.assert_nothing_left();
}

impl Shim<'_> {
    /// The exit status, where a mount below the bundle is the test's own.
    fn control_exit(mut self) -> i32 {
        let record = self.control.exited();
        drop(self.control);
        let pid = rustix::process::Pid::from_raw(self.process);
        rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
        record.exit_code
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
