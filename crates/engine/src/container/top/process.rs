//! One process, as `/proc` has it.

use std::{fs, io};

/// What is known of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// Device number of its terminal; 0 without one.
    pub(super) terminal: u32,
    /// The group in the foreground of its terminal.
    pub(super) foreground_group: i32,
    /// One letter: `R`, `S`, `D`, `Z`, `T`, …
    pub(super) state: String,
    /// CPU time, user and system, in ticks of a hundredth of a second.
    pub(super) cpu_ticks: u64,
    pub(super) nice: i64,
    pub(super) threads: u32,
    /// Start, in ticks since boot.
    pub(super) start_ticks: u64,
    pub(super) virtual_bytes: u64,
    /// Of `status`: that of `stat` is only roughly right.
    pub(super) resident_kib: u64,
    /// It has pages locked in memory.
    pub(super) locks_memory: bool,
    pub(super) user: u32,
    pub(super) real_user: u32,
    pub(super) user_group: u32,
    /// The program's short name.
    pub(super) name: String,
    /// The command line, one line of text; empty for a zombie.
    pub(super) command_line: String,
}

impl Process {
    /// Reads it; `None` when it has ended meanwhile.
    pub(super) fn read(pid: u32) -> Option<Self> {
        let file = |name: &str| -> io::Result<Vec<u8>> { fs::read(format!("/proc/{pid}/{name}")) };
        let stat = file("stat").ok()?;
        let status = file("status").ok()?;
        let command_line = file("cmdline").ok()?;
        Self::parse(
            &String::from_utf8_lossy(&stat),
            &String::from_utf8_lossy(&status),
            &command_line,
        )
    }

    /// Reads the content of `stat`, `status` and `cmdline`.
    fn parse(stat: &str, status: &str, command_line: &[u8]) -> Option<Self> {
        // The name may hold anything, spaces and parentheses too.
        let (pid, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Numbered as in proc_pid_stat(5), where the state is the third.
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
        let signed = |number: usize| field(number).parse::<i64>().unwrap_or_default();
        let unsigned = |number: usize| field(number).parse::<u64>().unwrap_or_default();
        let id = |number: usize| i32::try_from(signed(number)).unwrap_or_default();
        let small = |number: usize| u32::try_from(unsigned(number)).unwrap_or_default();
        let word = |key: &str, column: usize| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|rest| rest.split_ascii_whitespace().nth(column))
        };
        let id_of = |key: &str, column: usize| word(key, column).and_then(|word| word.parse().ok());
        let kib = |key: &str| word(key, 0).and_then(|word| word.parse().ok()).unwrap_or(0);
        Some(Self {
            pid: pid.parse().ok()?,
            parent: small(4),
            group: id(5),
            session: id(6),
            terminal: small(7),
            foreground_group: id(8),
            state: field(3).to_owned(),
            cpu_ticks: unsigned(14).saturating_add(unsigned(15)),
            nice: signed(19),
            threads: small(20),
            start_ticks: unsigned(22),
            virtual_bytes: unsigned(23),
            resident_kib: kib("VmRSS:"),
            locks_memory: kib("VmLck:") > 0,
            real_user: id_of("Uid:", 0)?,
            user: id_of("Uid:", 1)?,
            user_group: id_of("Gid:", 1)?,
            name: printable(name),
            command_line: words(command_line),
        })
    }

    /// Whether it has ended and nobody has taken its status yet.
    pub(super) fn is_zombie(&self) -> bool {
        self.state == "Z"
    }
}

/// The arguments, each single space apart, as what `ps` prints is taken to pieces and put together again.
fn words(command_line: &[u8]) -> String {
    let spaced: Vec<u8> = command_line
        .iter()
        .map(|byte| if *byte == 0 { b' ' } else { *byte })
        .collect();
    let text = printable(&String::from_utf8_lossy(&spaced));
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn printable(text: &str) -> String {
    let letter = |letter: char| match letter {
        '\n' => ' ',
        letter if letter.is_control() => '?',
        letter => letter,
    };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat =
            "42 (a) (b c) S 7 41 40 34816 41 4194304 1 2 3 4 150 50 0 0 20 5 3 0 1234 8192 9 1 1";
        let status = "Name:\ta\nUid:\t1000\t1001\t0\t0\nGid:\t5\t6\t0\t0\nVmLck:\t       4 kB\nVmRSS:\t      36 kB\n";
        let process = Process::parse(stat, status, b"sh\0-c\0a  b\n\tc\0").unwrap();
        let expected = Process {
            pid: 42,
            parent: 7,
            group: 41,
            session: 40,
            terminal: 34816,
            foreground_group: 41,
            state: "S".into(),
            cpu_ticks: 200,
            nice: 5,
            threads: 3,
            start_ticks: 1234,
            virtual_bytes: 8192,
            resident_kib: 36,
            locks_memory: true,
            user: 1001,
            real_user: 1000,
            user_group: 6,
            name: "a) (b c".into(),
            command_line: "sh -c a b ?c".into(),
        };
        assert_eq!(process, expected);
    }

    #[test]
    fn this_process_is_read_and_a_gone_one_is_none() {
        let process = Process::read(std::process::id()).unwrap();
        assert_eq!(process.pid, std::process::id());
        assert!(!process.command_line.is_empty() && process.threads >= 1);
        assert_eq!(Process::read(u32::MAX), None);
    }

    proptest::proptest! {
        #[test]
        fn no_content_panics(stat in "\\PC*", status in "\\PC*", command_line: Vec<u8>) {
            let _ = Process::parse(&stat, &status, &command_line);
            let _ = Process::parse(&format!("1 (a) {stat}"), "Uid: 1 1\nGid: 1 1\n", &command_line);
        }
    }
}
