//! Reading the audit log: search and the check of the chain. Both read it as a stream and keep no more of it than they answer.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use api::audit::{AuditEntry, AuditPage, AuditQuery, AuditVerified};

use super::{Audit, AuditError, FIRST, Line, asides, chain, error};

/// Lines of a page when nobody says.
const USUAL_LIMIT: usize = 100;
/// Most lines of a page.
const MOST: usize = 1000;

impl Audit {
    /// Finds lines, newest first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn search(&self, query: AuditQuery) -> Result<AuditPage, AuditError> {
        self.read(move |directory| search(directory, &query)).await
    }

    /// Checks the chain of all files that are there.
    ///
    /// # Errors
    /// When a file cannot be read; a broken chain is no error but an answer.
    pub async fn verify(&self) -> Result<AuditVerified, AuditError> {
        self.read(verify).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, AuditError> + Send + 'static,
    ) -> Result<T, AuditError> {
        let broken = |source: std::io::Error| error("read", &self.directory)(source);
        let _place = self
            .reading
            .acquire()
            .await
            .map_err(|closed| broken(std::io::Error::other(closed)))?;
        let directory = self.directory.clone();
        tokio::task::spawn_blocking(move || work(&directory))
            .await
            .unwrap_or_else(|join| Err(broken(std::io::Error::other(join))))
    }
}

/// All files of the log, oldest first.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = asides(directory);
    files.push(directory.join("audit.jsonl"));
    files
}

/// Gives each line of a file with its number; a file that is not there has none.
fn each_line(path: &Path, mut take: impl FnMut(usize, &[u8]) -> bool) -> Result<(), AuditError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(error("open", path)(source)),
    };
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(error("read", path))?;
        // What has no line end is being written just now.
        if read == 0 || !line.ends_with(b"\n") || !take(number, line.trim_ascii_end()) {
            return Ok(());
        }
    }
    Ok(())
}

fn search(directory: &Path, query: &AuditQuery) -> Result<AuditPage, AuditError> {
    let wanted = Wanted::new(query);
    let limit = query
        .limit
        .map_or(USUAL_LIMIT, |limit| limit as usize)
        .clamp(1, MOST);
    // Newest first, file by file; within a file the newest that match are kept. One more tells whether there are more.
    let mut items: Vec<AuditEntry> = Vec::new();
    for path in files(directory).iter().rev() {
        let room = limit + 1 - items.len();
        let mut newest: VecDeque<AuditEntry> = VecDeque::new();
        each_line(path, |_, text| {
            let Some(entry) = read_entry(text) else {
                return true;
            };
            if query.before.is_some_and(|before| entry.seq >= before) {
                return false;
            }
            if wanted.takes(&entry) {
                if newest.len() == room {
                    newest.pop_front();
                }
                newest.push_back(entry);
            }
            true
        })?;
        items.extend(newest.into_iter().rev());
        if items.len() > limit {
            break;
        }
    }
    let more = items.len() > limit;
    items.truncate(limit);
    let next_before = items.last().filter(|_| more).map(|oldest| oldest.seq);
    Ok(AuditPage { items, next_before })
}

fn read_entry(text: &[u8]) -> Option<AuditEntry> {
    let line: Line = serde_json::from_slice(text).ok()?;
    Some(AuditEntry {
        seq: line.seq,
        time: line.time.parse().ok()?,
        user: line.entry.user,
        token: line.entry.token,
        ip: line.entry.ip,
        operation: line.entry.operation,
        target: line.entry.target,
        decision: line.entry.decision,
        status: line.entry.status,
        request_id: line.entry.request_id,
    })
}

/// The conditions, made ready for many comparisons.
struct Wanted<'a> {
    query: &'a AuditQuery,
    user: Option<String>,
    operation: Option<String>,
}

impl<'a> Wanted<'a> {
    fn new(query: &'a AuditQuery) -> Self {
        Self {
            query,
            user: query.user.as_deref().map(str::to_lowercase),
            operation: query.operation.as_deref().map(str::to_lowercase),
        }
    }

    fn takes(&self, entry: &AuditEntry) -> bool {
        let query = self.query;
        self.user
            .as_ref()
            .is_none_or(|user| entry.user.to_lowercase() == *user)
            && self
                .operation
                .as_ref()
                .is_none_or(|part| entry.operation.to_lowercase().contains(part))
            && query
                .target
                .as_ref()
                .is_none_or(|part| entry.target.contains(part))
            && query
                .decision
                .as_ref()
                .is_none_or(|decision| entry.decision == *decision)
            && query.since.is_none_or(|since| entry.time >= since)
            && query.until.is_none_or(|until| entry.time < until)
    }
}

/// Checks the chain of all files of the log in a directory.
///
/// # Errors
/// When a file cannot be read; a broken chain is no error but an answer.
pub fn verify(directory: &Path) -> Result<AuditVerified, AuditError> {
    let mut expected: Option<(u64, String)> = None;
    let (mut lines, mut last_hash, mut broken_at) = (0, FIRST.to_owned(), None);
    for path in files(directory) {
        each_line(&path, |number, text| {
            let line: Option<Line> = serde_json::from_slice(text).ok();
            let sound = line.filter(|line| {
                // What is older than the oldest file was taken away whole; its last hash is taken as given.
                let follows = expected
                    .as_ref()
                    .map_or(line.seq > 0 || line.previous == FIRST, |(seq, hash)| {
                        *seq == line.seq && *hash == line.previous
                    });
                follows && chain(line.seq, &line.time, &line.entry, &line.previous) == line.hash
            });
            let Some(line) = sound else {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                broken_at = Some(format!("{name} line {number}"));
                return false;
            };
            lines += 1;
            last_hash.clone_from(&line.hash);
            expected = Some((line.seq + 1, line.hash));
            true
        })?;
        if broken_at.is_some() {
            break;
        }
    }
    Ok(AuditVerified {
        whole: broken_at.is_none(),
        lines,
        last_hash,
        broken_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Entry;

    async fn filled() -> (tempfile::TempDir, Audit) {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::open(dir.path()).unwrap();
        for number in 0..10 {
            let entry = Entry {
                user: if number % 2 == 0 { "ana" } else { "olaf" }.into(),
                token: None,
                ip: "127.0.0.1".into(),
                operation: if number < 5 {
                    "ContainerStop"
                } else {
                    "ImagePull"
                }
                .into(),
                target: format!("/x/{number}"),
                decision: "done".into(),
                status: Some(200),
                request_id: "r".into(),
            };
            audit.append(entry).await.unwrap();
            if number == 3 {
                std::fs::rename(
                    dir.path().join("audit.jsonl"),
                    dir.path().join("audit-4.jsonl"),
                )
                .unwrap();
                return (dir, audit);
            }
        }
        (dir, audit)
    }

    #[tokio::test]
    async fn pages_go_back_over_all_files_without_gaps_or_doubles() {
        let (dir, _) = filled().await;
        let audit = Audit::open(dir.path()).unwrap();
        for number in 4..10 {
            let entry = Entry {
                user: if number % 2 == 0 { "ana" } else { "olaf" }.into(),
                token: Some("ci".into()),
                ip: "127.0.0.1".into(),
                operation: "ImagePull".into(),
                target: format!("/x/{number}"),
                decision: "done".into(),
                status: Some(200),
                request_id: "r".into(),
            };
            audit.append(entry).await.unwrap();
        }
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let query = AuditQuery {
                limit: Some(3),
                before,
                ..AuditQuery::default()
            };
            let page = audit.search(query).await.unwrap();
            seen.extend(page.items.iter().map(|entry| entry.seq));
            before = page.next_before;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..10).rev().collect::<Vec<u64>>());
        let count = async |query: AuditQuery| audit.search(query).await.unwrap().items.len();
        let with = AuditQuery::default;
        assert_eq!(
            count(AuditQuery {
                user: Some("ANA".into()),
                ..with()
            })
            .await,
            5
        );
        assert_eq!(
            count(AuditQuery {
                user: Some("an".into()),
                ..with()
            })
            .await,
            0
        );
        assert_eq!(
            count(AuditQuery {
                operation: Some("stop".into()),
                ..with()
            })
            .await,
            4
        );
        assert_eq!(
            count(AuditQuery {
                target: Some("/x/7".into()),
                ..with()
            })
            .await,
            1
        );
        assert_eq!(
            count(AuditQuery {
                decision: Some("refused".into()),
                ..with()
            })
            .await,
            0
        );
        let now = jiff::Timestamp::now();
        assert_eq!(
            count(AuditQuery {
                until: Some(now),
                ..with()
            })
            .await,
            10
        );
        assert_eq!(
            count(AuditQuery {
                since: Some(now),
                ..with()
            })
            .await,
            0
        );
        let verified = audit.verify().await.unwrap();
        assert!(verified.whole && verified.lines == 10, "{verified:?}");
    }
}
