//! Lines of a log by REST: the newest that fit a filter, and the whole as text.

use std::collections::VecDeque;

use api::log::{LogPage, LogStream};
use bollard::{Docker, container::LogOutput, errors::Error, query_parameters::LogsOptionsBuilder};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::{
    feeds::MAX_TAIL,
    line::{Assembler, Line, format_time},
};

/// Lines of a page unless asked otherwise.
const TAIL: u32 = 500;
/// Text of one page.
const PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Longest line of a download.
const DOWNLOAD_LINE: usize = 16 * 1024 * 1024;

/// `since` or `until` is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither RFC 3339 nor seconds since 1970")]
pub(crate) struct BadTime;

/// Which lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    since_ns: Option<i64>,
    until_ns: Option<i64>,
    stdout: bool,
    stderr: bool,
    /// In lower case.
    search: Option<String>,
}

impl Filter {
    /// From the fields of a query; an error names the field.
    pub(crate) fn new(
        since: Option<&str>,
        until: Option<&str>,
        streams: (Option<bool>, Option<bool>),
        search: Option<&str>,
    ) -> Result<Self, (&'static str, BadTime)> {
        Ok(Self {
            since_ns: since.map(time).transpose().map_err(|e| ("since", e))?,
            until_ns: until.map(time).transpose().map_err(|e| ("until", e))?,
            stdout: streams.0.unwrap_or(true),
            stderr: streams.1.unwrap_or(true),
            search: search
                .filter(|text| !text.is_empty())
                .map(str::to_lowercase),
        })
    }

    fn takes(&self, line: &Line) -> bool {
        self.since_ns.is_none_or(|since| line.at_ns >= since)
            && self.until_ns.is_none_or(|until| line.at_ns <= until)
            && match line.stream {
                LogStream::Stdout => self.stdout,
                LogStream::Stderr => self.stderr,
            }
            && self
                .search
                .as_ref()
                .is_none_or(|wanted| line.text.to_lowercase().contains(wanted))
    }

    fn is_open(&self) -> bool {
        self.until_ns.is_none() && self.search.is_none() && self.stdout && self.stderr
    }

    fn frames(
        &self,
        docker: &Docker,
        id: &str,
        tail: Option<u64>,
    ) -> impl Stream<Item = Result<LogOutput, Error>> + use<> {
        // Whole seconds are all that the client library takes; the rest is filtered here.
        let since = self
            .since_ns
            .map_or(0, |since| since.div_euclid(1_000_000_000));
        let tail = tail.map_or_else(|| "all".to_owned(), |tail| tail.to_string());
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(i32::try_from(since).unwrap_or(i32::MAX))
            .tail(&tail)
            .build();
        docker.logs(id, Some(options))
    }
}

fn time(text: &str) -> Result<i64, BadTime> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return i64::try_from(at.as_nanosecond()).or(Err(BadTime));
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().or(Err(BadTime))?;
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanos: i64 = digits.parse().or(Err(BadTime))?;
    seconds
        .checked_mul(1_000_000_000)
        .and_then(|ns| ns.checked_add(nanos))
        .ok_or(BadTime)
}

/// The newest lines that the filter takes. An engine can only be asked for its newest lines whatever they hold, so more and more
/// of them are looked at until enough fit.
pub(crate) async fn page(
    docker: &Docker,
    id: &str,
    filter: &Filter,
    tail: Option<u32>,
) -> Result<LogPage, Error> {
    let wanted = tail.unwrap_or(TAIL).clamp(1, MAX_TAIL) as usize;
    let mut look_at = if filter.is_open() {
        wanted as u64 + 1
    } else {
        wanted as u64 * 4 + 1000
    };
    loop {
        let (found, looked_at) = newest(docker, id, filter, wanted, look_at).await?;
        // Fewer than asked for: that was the whole log.
        if found.len() > wanted || looked_at < look_at {
            let more_before = found.len() > wanted;
            let skip = found.len().saturating_sub(wanted);
            let lines = (0..)
                .zip(found.iter().skip(skip))
                .map(|(number, line)| line.to_api(number))
                .collect();
            return Ok(LogPage { lines, more_before });
        }
        look_at = look_at.saturating_mul(8);
    }
}

/// At most one more than `wanted` of the engine's newest `look_at` lines, and how many these were.
async fn newest(
    docker: &Docker,
    id: &str,
    filter: &Filter,
    wanted: usize,
    look_at: u64,
) -> Result<(VecDeque<Line>, u64), Error> {
    let mut assembler = Assembler::default();
    let (mut found, mut bytes, mut looked_at) = (VecDeque::new(), 0, 0);
    let mut take = |lines: Vec<Line>| {
        looked_at += lines.len() as u64;
        for line in lines.into_iter().filter(|line| filter.takes(line)) {
            bytes += line.text.len();
            found.push_back(line);
            while found.len() > wanted + 1 || (bytes > PAGE_BYTES && found.len() > 1) {
                bytes -= found.pop_front().map_or(0, |line: Line| line.text.len());
            }
        }
    };
    let mut frames = std::pin::pin!(filter.frames(docker, id, Some(look_at)));
    while let Some(frame) = frames.next().await {
        take(assembler.push(&frame?));
    }
    take(assembler.finish());
    Ok((found, looked_at))
}

/// The log as text, one line after the other, never whole in memory.
pub(crate) fn download(
    docker: &Docker,
    id: &str,
    filter: Filter,
    timestamps: bool,
) -> impl Stream<Item = Result<Bytes, Error>> + use<> {
    let frames = filter
        .frames(docker, id, None)
        .map(Some)
        .chain(futures_util::stream::iter([None]));
    let mut assembler = Assembler::with_longest(DOWNLOAD_LINE);
    frames.map(move |frame| {
        let lines = match frame {
            Some(frame) => assembler.push(&frame?),
            None => assembler.finish(),
        };
        let mut text = String::new();
        for line in lines.iter().filter(|line| filter.takes(line)) {
            if timestamps {
                text.push_str(&format_time(line.at_ns));
                text.push(' ');
            }
            text.push_str(&line.text);
            text.push('\n');
        }
        Ok(Bytes::from(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(time("1970-01-01T00:00:01.5Z"), Ok(1_500_000_000));
        assert_eq!(time("1.5"), Ok(1_500_000_000));
        assert_eq!(time("12"), Ok(12_000_000_000));
        for bad in ["", "yesterday", "1.x", "99999999999999999999"] {
            assert_eq!(time(bad), Err(BadTime), "{bad:?}");
        }
    }

    #[test]
    fn a_filter_takes_by_time_stream_and_text() {
        let line = |at_ns, text: &str| Line {
            at_ns,
            stream: LogStream::Stderr,
            text: text.to_owned(),
            truncated: false,
        };
        let filter = Filter::new(Some("1"), Some("2"), (None, None), Some("ERROR")).unwrap();
        assert!(filter.takes(&line(1_500_000_000, "an Error here")));
        assert!(!filter.takes(&line(1_500_000_000, "fine")));
        assert!(!filter.takes(&line(2_500_000_000, "an error late")));
        let out_only = Filter::new(None, None, (None, Some(false)), None).unwrap();
        assert!(!out_only.takes(&line(0, "x")));
    }
}
