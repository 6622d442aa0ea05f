//! The processes of a container, in the form of `ps`.
//!
//! dockerd runs the host's `ps` for every question and picks the container's processes out of its answer. Here the usual
//! questions (`-ef`, `aux`, `-o` with the usual columns) are answered from `/proc` without a program, the same on every
//! host; `ps` is run for the rest, where it is installed.

mod columns;
mod names;
mod process;

use bollard_stubs::models::ContainerTopResponse;
use jiff::tz::TimeZone;

use self::{
    columns::{BSD_USER, FULL, Format, Moment},
    names::Names,
    process::Process,
};
use super::handle::Container;
use crate::{
    error::{EngineError, Result},
    host,
    programs::Program,
    time,
};

/// Arguments of `ps` when none are given.
const DEFAULT_ARGUMENTS: &str = "-ef";

impl Container {
    /// Returns the container's processes as `ps` with these arguments shows them. Blocks.
    ///
    /// # Errors
    /// `Conflict` when it does not run, `Invalid` in the words of `ps` for arguments it does not take.
    pub(crate) fn top(&self, arguments: Option<&str>) -> Result<ContainerTopResponse> {
        self.require_running()?;
        let pids = self
            .cgroup()
            .and_then(|cgroup| cgroup.processes())
            .map_err(EngineError::io(
                "list the processes of",
                self.id().to_owned(),
            ))?;
        let arguments = arguments.unwrap_or(DEFAULT_ARGUMENTS);
        let words: Vec<&str> = arguments.split_ascii_whitespace().collect();
        match format(&words) {
            Some(format) => own_answer(&format, &pids),
            None => answer_of_ps(&words, &pids),
        }
    }
}

/// Returns the format that arguments ask for; `None` for those that only `ps` itself understands.
fn format(words: &[&str]) -> Option<Format> {
    if matches!(words, ["aux" | "-aux" | "axu" | "uax"]) {
        return Some(BSD_USER.to_vec());
    }
    let (mut full, mut specifiers) = (false, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut letters = word.strip_prefix('-')?.chars();
        while let Some(letter) = letters.next() {
            match letter {
                'e' | 'A' => {}
                'f' => full = true,
                'o' => {
                    // Its argument is the rest of the word, or the next word.
                    let rest = letters.as_str();
                    let list = if rest.is_empty() {
                        words.next().copied()?
                    } else {
                        rest
                    };
                    specifiers.extend(list.split(','));
                    break;
                }
                _ => return None,
            }
        }
    }
    match (full, specifiers.is_empty()) {
        (true, true) => {
            let mut format: Format = FULL
                .iter()
                .filter_map(|name| columns::column(name))
                .collect();
            // In this format the first column has the user's name under another title.
            if let Some((_, title)) = format.first_mut() {
                *title = "UID";
            }
            Some(format)
        }
        (false, false) => specifiers.into_iter().map(columns::column).collect(),
        // `ps` without a format, or with two, is a matter of its own.
        _ => None,
    }
}

fn own_answer(format: &Format, pids: &[u32]) -> Result<ContainerTopResponse> {
    let titles: Vec<String> = format
        .iter()
        .map(|(_, title)| (*title).to_owned())
        .collect();
    pid_column(&titles)?;
    let zone = std::fs::read("/etc/localtime").ok();
    let moment = Moment {
        now_ns: time::now_ns(),
        uptime_ns: host::uptime_ns(),
        memory_bytes: host::memory_total_bytes(),
        zone: zone
            .and_then(|data| TimeZone::tzif("local", &data).ok())
            .unwrap_or(TimeZone::UTC),
        users: Names::users(),
        groups: Names::groups(),
    };
    let row = |process: Process| {
        let cells = format.iter();
        cells
            .map(|(column, _)| column.text(&process, &moment))
            .collect()
    };
    Ok(ContainerTopResponse {
        titles: Some(titles),
        processes: Some(
            pids.iter()
                .copied()
                .filter_map(Process::read)
                .map(row)
                .collect(),
        ),
    })
}

fn answer_of_ps(words: &[&str], pids: &[u32]) -> Result<ContainerTopResponse> {
    // Only these processes; not every format goes along with such a choice.
    let list: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let only = format!("-q{}", list.join(","));
    let mut chosen = words.to_vec();
    chosen.push(&only);
    let output = match Program::Ps.output(&chosen) {
        Ok(output) if output.status.success() => output,
        Err(error @ EngineError::Unavailable(_)) => {
            return Err(EngineError::Unsupported(format!(
                "{error}; without it -ef, aux and -o with the usual columns are answered"
            )));
        }
        // Or there are so many processes that the choice is longer than an argument may be.
        _ => Program::Ps.output(words)?,
    };
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let first = words.lines().find(|line| !line.trim().is_empty());
        return Err(EngineError::Invalid(format!(
            "ps: {}",
            first.unwrap_or("no success and no words about it")
        )));
    }
    table(&String::from_utf8_lossy(&output.stdout), pids)
}

/// Reads what `ps` prints and takes the lines of the container's processes out of it.
fn table(output: &str, pids: &[u32]) -> Result<ContainerTopResponse> {
    let mut lines = output.lines();
    let titles: Vec<String> = lines
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect();
    let pid_column = pid_column(&titles)?;
    let mut processes = Vec::new();
    // Threads of a process follow it, with a dash for its number.
    let mut in_container = false;
    for line in lines {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let Some(pid) = fields.get(pid_column) else {
            continue;
        };
        if *pid != "-" {
            let pid: u32 = pid.parse().map_err(|_number| {
                EngineError::Internal(format!("read what ps prints: unexpected pid {pid:?}"))
            })?;
            in_container = pids.contains(&pid);
        }
        if in_container {
            // The last column has what is left, as command lines have spaces.
            let (first, rest) = fields.split_at(fields.len().min(titles.len() - 1));
            let mut row: Vec<String> = first.iter().map(|field| (*field).to_owned()).collect();
            row.push(rest.join(" "));
            processes.push(row);
        }
    }
    Ok(ContainerTopResponse {
        titles: Some(titles),
        processes: Some(processes),
    })
}

fn pid_column(titles: &[String]) -> Result<usize> {
    titles
        .iter()
        .position(|title| title == "PID")
        .ok_or_else(|| EngineError::Invalid("Couldn't find PID field in ps output".into()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn titles(arguments: &str) -> Option<String> {
        let words: Vec<&str> = arguments.split_ascii_whitespace().collect();
        let format = format(&words)?;
        let titles: Vec<&str> = format.iter().map(|(_, title)| *title).collect();
        Some(titles.join(" "))
    }

    #[test]
    fn the_usual_arguments_are_understood() {
        let full = Some("UID PID PPID C STIME TTY TIME CMD".to_owned());
        for arguments in ["-ef", "-fe", "-e -f", "-f", "-Af"] {
            assert_eq!(titles(arguments), full, "{arguments}");
        }
        let two = Some("PID COMMAND".to_owned());
        for arguments in [
            "-o pid,comm",
            "-opid,comm",
            "-eo pid,comm",
            "-eopid,comm",
            "-e -o pid -o comm",
        ] {
            assert_eq!(titles(arguments), two, "{arguments}");
        }
        assert!(titles("aux").unwrap().ends_with("START TIME COMMAND"));
    }

    #[test]
    fn everything_else_is_left_to_ps() {
        for arguments in [
            "",
            "-e",
            "-o",
            "-o pid=x",
            "-o pid,user:20",
            "-o pid,,comm",
            "-ejH",
            "-ef -o pid",
            "x",
            "--help",
            "-o lwp",
        ] {
            assert_eq!(titles(arguments), None, "{arguments}");
        }
    }

    #[test]
    fn the_containers_lines_are_taken_with_their_threads() {
        let output = "  PID   LWP CMD\n    1     - init\n    -     1 -\n   42     - sh -c  a   b\n    -    42 -\n";
        let answer = table(output, &[42]).unwrap();
        assert_eq!(answer.titles.unwrap(), ["PID", "LWP", "CMD"]);
        assert_eq!(
            answer.processes.unwrap(),
            [["42", "-", "sh -c a b"], ["-", "42", "-"]]
        );
    }

    #[test]
    fn without_a_pid_column_nothing_can_be_picked() {
        for result in [
            table("COMMAND\nsh\n", &[1]),
            own_answer(&format(&["-o", "comm"]).unwrap(), &[1]),
        ] {
            assert_eq!(
                result.unwrap_err().to_string(),
                "Couldn't find PID field in ps output"
            );
        }
        assert!(table("", &[1]).is_err());
        assert!(table("PID\nx\n", &[1]).is_err());
    }

    #[test]
    fn kernel_own_answers_are_those_of_ps() {
        if Program::Ps.find().is_none() {
            println!("skipped: there is no ps to compare with");
            return;
        }
        // One that does nothing, so that both see the same.
        let mut program = Command::new("sleep").arg("1000").spawn().unwrap();
        let pids = [program.id()];
        // Until the program is executed it is a copy of this one.
        while Process::read(program.id()).is_none_or(|process| process.name != "sleep") {
            std::thread::yield_now();
        }
        let mut differences = Vec::new();
        for arguments in [
            "-ef",
            "aux",
            "-eo pid,ppid,pgid,pgrp,sid,sess,user,euser,uid,ruser,group,egroup,gid,comm,ucmd",
            "-o pid,state,stat,tty,tname,time,cputime,etime,etimes,stime,start_time,c,pcpu,pmem",
            "-o vsz,rss,rsz,nlwp,thcount,ni,pid,args",
            "-o pid,cmd",
        ] {
            let words: Vec<&str> = arguments.split_ascii_whitespace().collect();
            let format = format(&words).unwrap();
            // Seconds and minutes go on between the two.
            let same = (0..20).any(|_| {
                own_answer(&format, &pids).unwrap() == answer_of_ps(&words, &pids).unwrap()
            });
            if !same {
                differences.push((own_answer(&format, &pids), answer_of_ps(&words, &pids)));
            }
        }
        program.kill().unwrap();
        program.wait().unwrap();
        assert!(differences.is_empty(), "{differences:#?}");
    }

    #[test]
    fn kernel_what_ps_refuses_is_told_in_its_words() {
        if Program::Ps.find().is_none() {
            println!("skipped: there is no ps to ask");
            return;
        }
        let error = answer_of_ps(&["-zzz"], &[1]).unwrap_err();
        assert!(
            matches!(&error, EngineError::Invalid(text) if text.starts_with("ps: error:")),
            "{error}"
        );
    }
}
