//! Progress of long work, as the JSON lines that Docker's clients draw.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::Stream;
use serde::Serialize;
use tokio::sync::Notify;

use crate::error::{EngineError, Result};

/// Lines that may wait for the reader before [`Progress::room`] waits with them.
const MAX_PENDING: usize = 256;

#[derive(Clone, Debug, Default, Serialize)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(rename = "progressDetail", skip_serializing_if = "Option::is_none")]
    progress_detail: Option<Detail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "errorDetail", skip_serializing_if = "Option::is_none")]
    error_detail: Option<ErrorDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aux: Option<Aux>,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Detail {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
struct ErrorDetail {
    /// Of a command that was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    message: String,
}

/// What was made or sent, for programs.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Aux {
    Made {
        #[serde(rename = "ID")]
        id: String,
    },
    #[serde(rename_all = "PascalCase")]
    Pushed {
        tag: String,
        digest: String,
        size: usize,
    },
}

#[derive(Debug, Default)]
struct Shared {
    /// Bounded by the work: a few status lines and at most one pending figure a layer.
    lines: Mutex<VecDeque<Line>>,
    changed: Notify,
    taken: Notify,
}

/// Where work tells how far it is. Telling never waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Shared>);

impl Progress {
    /// A status line, about the layer `id` when one is given.
    pub(crate) fn status(&self, id: Option<&str>, status: impl Into<String>) {
        self.push(Line {
            status: Some(status.into()),
            id: id.map(Into::into),
            ..Line::default()
        });
    }

    /// A status line of a layer, which clears its bar.
    pub(super) fn layer(&self, id: &str, status: &str) {
        self.push(Line {
            status: Some(status.into()),
            progress_detail: Some(Detail::default()),
            id: Some(id.into()),
            ..Line::default()
        });
    }

    /// How far a layer is, in bytes. A figure that nobody has read yet is replaced.
    pub(super) fn figure(&self, id: &str, status: &str, current: u64, total: u64) {
        let line = Line {
            status: Some(status.into()),
            progress_detail: Some(Detail {
                current: Some(current),
                total: (total > 0).then_some(total),
            }),
            progress: Some(bar(current, total)),
            id: Some(id.into()),
            ..Line::default()
        };
        let mut lines = self.lock();
        let pending = lines
            .iter_mut()
            .rev()
            .find(|pending| pending.id.as_deref() == Some(id));
        match pending {
            Some(pending) if pending.progress.is_some() => *pending = line,
            _ => lines.push_back(line),
        }
        drop(lines);
        self.0.changed.notify_one();
    }

    /// What was made, by its id.
    pub(crate) fn made(&self, id: impl Into<String>) {
        self.push(Line {
            aux: Some(Aux::Made { id: id.into() }),
            ..Line::default()
        });
    }

    /// Under which tag and digest a manifest of `size` bytes is in the registry.
    pub(super) fn pushed(&self, tag: &str, digest: &str, size: usize) {
        self.push(Line {
            aux: Some(Aux::Pushed {
                tag: tag.to_owned(),
                digest: digest.to_owned(),
                size,
            }),
            ..Line::default()
        });
    }

    /// Ends with an error, of a command with its exit code.
    pub(crate) fn failed(&self, message: &str, code: Option<i64>) {
        self.push(Line {
            error_detail: Some(ErrorDetail {
                code,
                message: message.to_owned(),
            }),
            error: Some(message.to_owned()),
            ..Line::default()
        });
    }

    /// Waits until the reader has taken most of what was told: for work that may tell without end.
    pub(crate) async fn room(&self) {
        loop {
            let taken = self.0.taken.notified();
            if self.lock().len() < MAX_PENDING {
                return;
            }
            taken.await;
        }
    }

    /// A line of text.
    pub(crate) fn text(&self, text: impl Into<String>) {
        self.push(Line {
            stream: Some(text.into()),
            ..Line::default()
        });
    }

    fn error(&self, error: &EngineError) {
        self.failed(&error.to_string(), None);
    }

    fn push(&self, line: Line) {
        self.lock().push_back(line);
        self.0.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Line>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self) -> Option<Bytes> {
        let line = self.lock().pop_front()?;
        self.0.taken.notify_one();
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.extend_from_slice(b"\r\n");
        Some(bytes.into())
    }

    /// The lines of `work` as it goes on; its error is the last line. Dropping the stream drops the work.
    pub(crate) fn lines(
        self,
        work: impl Future<Output = Result<()>> + Send + 'static,
    ) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + 'static {
        let state = (self, Some(Box::pin(work)));
        futures_util::stream::unfold(state, |(progress, mut work)| async move {
            loop {
                if let Some(line) = progress.pop() {
                    return Some((Ok(line), (progress, work)));
                }
                let running = work.as_mut()?;
                let done = tokio::select! {
                    done = running => Some(done),
                    () = progress.0.changed.notified() => None,
                };
                if let Some(done) = done {
                    if let Err(error) = done {
                        progress.error(&error);
                    }
                    work = None;
                }
            }
        })
    }
}

/// `[====>      ]  12.3MB/45.6MB`, for clients that draw only what they are given.
fn bar(current: u64, total: u64) -> String {
    if total == 0 {
        return size(current);
    }
    let filled = usize::try_from(current.min(total) * 50 / total).unwrap_or(50);
    let mut text = String::from("[");
    for _ in 0..filled {
        text.push('=');
    }
    if filled < 50 {
        text.push('>');
    }
    for _ in filled + 1..50 {
        text.push(' ');
    }
    let _infallible = write!(text, "]  {}/{}", size(current), size(total));
    text
}

/// A size as Docker writes it: up to four digits, powers of 1000.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut whole, mut unit, mut thousandths) = (bytes, 0, 0);
    while whole >= 1000 && unit < UNITS.len() - 1 {
        thousandths = whole % 1000;
        whole /= 1000;
        unit += 1;
    }
    let fraction = match whole {
        _ if unit == 0 || thousandths == 0 => String::new(),
        0..10 => format!(".{thousandths:03}"),
        10..100 => format!(".{:02}", thousandths / 10),
        100..1000 => format!(".{}", thousandths / 100),
        _ => String::new(),
    };
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{whole}{fraction}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[test]
    fn sizes_read_like_dockers() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (2_811_000, "2.811MB"),
            (31_420_000, "31.42MB"),
            (123_456_789, "123.4MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(bar(10, 0), "10B");
        assert!(bar(5, 10).starts_with("[=========================>"));
    }

    #[tokio::test]
    async fn the_error_is_the_last_line_and_figures_are_merged() {
        let progress = Progress::default();
        let told = progress.clone();
        let work = async move {
            told.layer("a", "Pulling fs layer");
            told.figure("a", "Downloading", 1, 10);
            told.figure("a", "Downloading", 9, 10);
            Err(EngineError::Invalid("no good".into()))
        };
        let lines: Vec<_> = progress.lines(work).collect().await;
        let lines: Vec<String> = lines
            .into_iter()
            .map(|line| String::from_utf8(line.unwrap().to_vec()).unwrap())
            .collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].contains(r#""current":9"#));
        assert_eq!(
            lines[2],
            "{\"errorDetail\":{\"message\":\"no good\"},\"error\":\"no good\"}\r\n"
        );
    }
}
