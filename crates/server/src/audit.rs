//! The audit log: who did what to which object, and whether it was let through. Append-only JSON lines, each with the hash
//! of the one before, on the disk before the act begins. Several processes may append: each takes the file's lock and goes
//! on where the file ends.

mod read;

pub use read::verify;

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The file is put aside when it has grown to this size, in bytes.
const ROTATE_AT_BYTES: u64 = 16 * 1024 * 1024;
/// What stands in the first entry's `previous`.
const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What is written of an act; never a body, never a secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Who; empty when nobody was signed in.
    pub user: String,
    /// The name of the token that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// From where.
    pub ip: String,
    /// The operation's name.
    pub operation: String,
    /// The path, which names the object.
    pub target: String,
    /// `allowed`, `refused`, or afterwards `done` and `failed` with the status.
    pub decision: String,
    /// The answer's status, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Finds the request in the server's log.
    pub request_id: String,
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    seq: u64,
    time: String,
    #[serde(flatten)]
    entry: Entry,
    previous: String,
    hash: String,
}

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{what} {path}: {source}")]
pub struct AuditError {
    what: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

/// The open log; cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    writer: Arc<Mutex<Writer>>,
    directory: Arc<Path>,
    /// One reader of the whole log at a time: it reads much.
    reading: Arc<tokio::sync::Semaphore>,
}

#[derive(Debug)]
struct Writer {
    path: PathBuf,
    file: File,
    bytes: u64,
    seq: u64,
    last_hash: String,
}

impl Audit {
    /// Opens `audit.jsonl` in a directory and goes on with its chain.
    ///
    /// # Errors
    /// When the file cannot be read or made.
    pub fn open(directory: &Path) -> Result<Self, AuditError> {
        let path = directory.join("audit.jsonl");
        let (mut seq, mut last_hash, sound_bytes) = last_of(&path)?;
        if seq == 0
            && let Some(aside) = newest_aside(directory)
        {
            // It was put aside and nothing has been written since.
            (seq, last_hash, _) = last_of(&aside)?;
        }
        let file = open(&path)?;
        // A line that was cut short by a crash was never acknowledged: it goes.
        let io = |what| error(what, &path);
        file.set_len(sound_bytes).map_err(io("cut"))?;
        let writer = Writer {
            path,
            file,
            bytes: sound_bytes,
            seq,
            last_hash,
        };
        Ok(Self {
            writer: Arc::new(Mutex::new(writer)),
            directory: directory.into(),
            reading: Arc::new(tokio::sync::Semaphore::new(1)),
        })
    }

    /// Writes an entry to the disk.
    ///
    /// # Errors
    /// When it is not certain to be on the disk: then the act must not happen.
    pub async fn append(&self, entry: Entry) -> Result<(), AuditError> {
        let writer = Arc::clone(&self.writer);
        tokio::task::spawn_blocking(move || {
            writer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .append(entry)
        })
        .await
        .unwrap_or_else(|join| {
            Err(AuditError {
                what: "write",
                path: PathBuf::from("audit.jsonl"),
                source: std::io::Error::other(join),
            })
        })
    }
}

impl Writer {
    fn append(&mut self, entry: Entry) -> Result<(), AuditError> {
        self.file.lock().map_err(error("lock", &self.path))?;
        if !self.is_current() {
            // Another process put the file aside.
            self.file = open(&self.path)?;
            self.file.lock().map_err(error("lock", &self.path))?;
            // No length at all: what is there is read.
            self.bytes = u64::MAX;
        }
        let written = self.append_locked(entry);
        // The lock ends with the file at the latest.
        drop(self.file.unlock());
        written
    }

    fn append_locked(&mut self, entry: Entry) -> Result<(), AuditError> {
        self.catch_up()?;
        if self.bytes >= ROTATE_AT_BYTES {
            let aside = self
                .path
                .with_file_name(format!("audit-{}.jsonl", self.seq));
            std::fs::rename(&self.path, aside).map_err(error("put aside", &self.path))?;
            self.file = open(&self.path)?;
            self.bytes = 0;
        }
        let time = jiff::Timestamp::now().to_string();
        let hash = chain(self.seq, &time, &entry, &self.last_hash);
        let line = Line {
            seq: self.seq,
            time,
            entry,
            previous: self.last_hash.clone(),
            hash,
        };
        let mut text = serde_json::to_vec(&line)
            .map_err(|source| error("write", &self.path)(source.into()))?;
        text.push(b'\n');
        let written = self
            .file
            .write_all(&text)
            .and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            // Leave no half line behind; when that is not possible either, opening the log again cuts it.
            drop(self.file.set_len(self.bytes));
            return Err(error("write", &self.path)(source));
        }
        self.bytes += text.len() as u64;
        self.seq += 1;
        self.last_hash = line.hash;
        Ok(())
    }
}

impl Writer {
    /// The open file is still the one of that name.
    #[cfg(unix)]
    fn is_current(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        match (self.file.metadata(), std::fs::metadata(&self.path)) {
            (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
            _ => false,
        }
    }

    /// A file that is open cannot be renamed here.
    #[cfg(not(unix))]
    fn is_current(&self) -> bool {
        true
    }

    /// Goes on behind what another process (`containeros token create`) wrote meanwhile.
    fn catch_up(&mut self) -> Result<(), AuditError> {
        let bytes = self
            .file
            .metadata()
            .map_err(error("look at", &self.path))?
            .len();
        if bytes == self.bytes {
            return Ok(());
        }
        let (mut seq, mut last_hash, sound_bytes) = last_of(&self.path)?;
        if seq == 0
            && let Some(aside) = self.path.parent().and_then(newest_aside)
        {
            (seq, last_hash, _) = last_of(&aside)?;
        }
        if bytes > sound_bytes {
            self.file
                .set_len(sound_bytes)
                .map_err(error("cut", &self.path))?;
        }
        if seq > 0 {
            (self.seq, self.last_hash) = (seq, last_hash);
        }
        self.bytes = sound_bytes;
        Ok(())
    }
}

fn error(what: &'static str, path: &Path) -> impl Fn(std::io::Error) -> AuditError + use<> {
    let path = path.to_owned();
    move |source| AuditError {
        what,
        path: path.clone(),
        source,
    }
}

fn open(path: &Path) -> Result<File, AuditError> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(error("open", path))
}

/// Hash over a line's content and the hash before it.
fn chain(seq: u64, time: &str, entry: &Entry, previous: &str) -> String {
    // In the order of the declaration, whatever features the library of JSON is built with.
    let content = serde_json::to_vec(&(seq, time, entry, previous)).unwrap_or_default();
    hex::encode(Sha256::digest(content))
}

/// Returns the next number, the last hash, and how many bytes hold whole lines.
fn last_of(path: &Path) -> Result<(u64, String, u64), AuditError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => {
            return Ok((0, FIRST.to_owned(), 0));
        }
        Err(source) => return Err(error("open", path)(source)),
    };
    let mut reader = BufReader::new(file);
    let (mut next, mut hash, mut sound) = (0, FIRST.to_owned(), 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(error("read", path))?;
        if read == 0 || !line.ends_with(b"\n") {
            return Ok((next, hash, sound));
        }
        sound += read as u64;
        if let Ok(parsed) = serde_json::from_slice::<Line>(&line) {
            next = parsed.seq + 1;
            hash = parsed.hash;
        }
    }
}

/// The log that was put aside last.
fn newest_aside(directory: &Path) -> Option<PathBuf> {
    asides(directory).pop()
}

/// The logs that were put aside, oldest first.
fn asides(directory: &Path) -> Vec<PathBuf> {
    let number = |path: &Path| -> Option<u64> {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("audit-")?
            .strip_suffix(".jsonl")?
            .parse()
            .ok()
    };
    let mut found: Vec<PathBuf> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| number(path).is_some())
        .collect();
    found.sort_by_key(|path| number(path));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(target: &str) -> Entry {
        Entry {
            user: "ana".into(),
            token: None,
            ip: "127.0.0.1".into(),
            operation: "ContainerStop".into(),
            target: target.into(),
            decision: "allowed".into(),
            status: None,
            request_id: "r".into(),
        }
    }

    #[tokio::test]
    async fn the_chain_goes_on_over_a_restart_and_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        Audit::open(dir.path())
            .unwrap()
            .append(entry("/a"))
            .await
            .unwrap();
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"{\"seq\":1,\"ti")
            .unwrap();
        Audit::open(dir.path())
            .unwrap()
            .append(entry("/b"))
            .await
            .unwrap();
        let verified = read::verify(dir.path()).unwrap();
        assert!(verified.whole && verified.lines == 2, "{verified:?}");
    }

    #[tokio::test]
    async fn the_chain_goes_on_in_the_next_file() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::open(dir.path()).unwrap();
        audit.append(entry("/a")).await.unwrap();
        let path = dir.path().join("audit.jsonl");
        let last: Line =
            serde_json::from_str(std::fs::read_to_string(&path).unwrap().trim()).unwrap();
        std::fs::rename(&path, dir.path().join("audit-1.jsonl")).unwrap();
        Audit::open(dir.path())
            .unwrap()
            .append(entry("/b"))
            .await
            .unwrap();
        let next: Line =
            serde_json::from_str(std::fs::read_to_string(&path).unwrap().trim()).unwrap();
        assert_eq!((next.seq, next.previous), (1, last.hash));
        let verified = read::verify(dir.path()).unwrap();
        assert!(verified.whole && verified.lines == 2, "{verified:?}");
        assert_eq!(verified.last_hash, next.hash);
    }

    #[tokio::test]
    async fn what_was_changed_or_taken_out_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let audit = Audit::open(dir.path()).unwrap();
        for target in ["/a", "/b", "/c"] {
            audit.append(entry(target)).await.unwrap();
        }
        let whole = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = whole.lines().collect();
        let broken = |text: String, place: &str| {
            std::fs::write(&path, text).unwrap();
            let verified = read::verify(dir.path()).unwrap();
            assert!(!verified.whole);
            let at = verified.broken_at.unwrap();
            assert!(at.contains(place), "{at}");
        };
        broken(whole.replace("/a", "/x"), "line 1");
        broken(format!("{}\n{}\n", lines[0], lines[2]), "line 2");
        broken(format!("{}\nrubbish\n", lines[0]), "line 2");
        broken(format!("{}\n{}\n", lines[1], lines[0]), "line 2");
    }

    #[tokio::test]
    async fn two_processes_write_one_chain() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (
            Audit::open(dir.path()).unwrap(),
            Audit::open(dir.path()).unwrap(),
        );
        for number in 0..3 {
            one.append(entry(&format!("/one/{number}"))).await.unwrap();
            two.append(entry(&format!("/two/{number}"))).await.unwrap();
        }
        let verified = read::verify(dir.path()).unwrap();
        assert!(verified.whole && verified.lines == 6, "{verified:?}");
        // Also over the moment when one puts the file aside.
        std::fs::rename(
            dir.path().join("audit.jsonl"),
            dir.path().join("audit-6.jsonl"),
        )
        .unwrap();
        two.append(entry("/two/aside")).await.unwrap();
        one.append(entry("/one/aside")).await.unwrap();
        let verified = read::verify(dir.path()).unwrap();
        assert!(verified.whole && verified.lines == 8, "{verified:?}");
    }

    #[test]
    fn the_hash_of_a_line_is_the_same_in_every_build() {
        assert_eq!(
            chain(7, "2026-01-01T00:00:00Z", &entry("/a"), FIRST),
            hex::encode(Sha256::digest(format!(
                r#"[7,"2026-01-01T00:00:00Z",{{"user":"ana","ip":"127.0.0.1","operation":"ContainerStop","target":"/a","decision":"allowed","request_id":"r"}},"{FIRST}"]"#
            )))
        );
    }
}
